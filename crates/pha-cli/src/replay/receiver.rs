//! What the failure detectors tell: verdicts on peers, and what they say.

use pha_core::detector::{Arrival, same_word};
use pha_core::report::PeerReport;
use pha_trace::{DetectorInput, Detectors};

use super::player::{Names, Teller, Told};
use crate::table::liveness;
use crate::times::period;

impl Teller for Detectors {
    fn beginning(&self, names: &Names) -> String {
        let peers = self.all().iter().map(|peer| {
            let report = peer.report();
            format!("{} is {}", names.of(report.node), liveness(report.liveness))
        });
        peers.collect::<Vec<_>>().join(", ")
    }

    fn tell(&self, names: &Names, before: &Self, input: &DetectorInput, (): &()) -> Vec<Told> {
        let mut told = vec![heard(self, names, input)];
        for (old, new) in before.all().iter().zip(self.all()) {
            told.extend(verdict(names, old.report(), new.report()));
        }
        told
    }
}

fn heard(detectors: &Detectors, names: &Names, input: &DetectorInput) -> Told {
    let name = |peer: usize| {
        detectors.all().get(peer).map_or_else(|| "a peer".to_owned(), |peer| names.of(peer.report().node))
    };
    match input {
        DetectorInput::Heard { peer, heartbeat, link, arrival } => {
            let copy = if *arrival == Arrival::Copy { ", a copy" } else { "" };
            let (serial, saying) = (heartbeat.serial, heartbeat.saying);
            let text = format!(
                "heartbeat {} of {} over its address {}{copy}: {}, term {}",
                serial.sequence,
                name(*peer),
                link + 1,
                saying.word,
                saying.term
            );
            Told::routine("input", text)
        }
        DetectorInput::Late(by) => Told::new("late", format!("this program was away for {}", period(*by)))
            .with("ms", crate::times::milliseconds(*by)),
        DetectorInput::DeadlinePassed => Told::routine("input", "a deadline passed"),
        DetectorInput::Found { peer, detector } => {
            let addresses: Vec<_> = detector.report().links.iter().map(|link| link.address.as_str()).collect();
            Told::new("found", format!("{} is reached at {}", name(*peer), addresses.join(", ")))
        }
    }
}

/// What others act on.
pub(super) fn verdict(names: &Names, old: &PeerReport, new: &PeerReport) -> Option<Told> {
    let name = names.of(new.node);
    let mut changes = Vec::new();
    if old.liveness != new.liveness {
        changes.push(format!("{} -> {}", liveness(old.liveness), liveness(new.liveness)));
    }
    let word = |report: &PeerReport| report.saying.map(|saying| saying.word);
    let same = match (word(old), word(new)) {
        (Some(old), Some(new)) => same_word(old, new),
        (None, None) => true,
        (None, Some(_)) | (Some(_), None) => false,
    };
    if let Some(saying) = new.saying.filter(|_| !same) {
        changes.push(format!("says {}, term {}", saying.word, saying.term));
    }
    if old.config_differs != new.config_differs {
        changes.push(if new.config_differs { "its etc/config differs" } else { "its etc/config is ours" }.to_owned());
    }
    let text = format!("{name}: {}", changes.join("; "));
    (!changes.is_empty()).then(|| {
        Told::new("peer", text)
            .with("peer", name)
            .with("liveness", liveness(new.liveness))
            .with("says", new.saying.map(|saying| saying.word.to_string()))
    })
}

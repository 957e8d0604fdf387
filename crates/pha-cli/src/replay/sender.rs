//! What the beat tells: other words, silence and its end, the asking during suspicion.

use pha_core::beat::{Beat, Round, Said};
use pha_core::detector::same_word;
use pha_trace::BeatInput;

use super::player::{Names, Teller, Told};

impl Teller for Beat {
    fn beginning(&self, _: &Names) -> String {
        match self.said() {
            None => "has nothing to say yet".to_owned(),
            Some(said) if self.is_running() => format!("says {}, term {}", said.saying.word, said.saying.term),
            Some(_) => "is silent".to_owned(),
        }
    }

    fn tell(&self, _: &Names, before: &Self, input: &BeatInput, output: &Option<Round>) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some(said) = self.said().filter(|said| is_news(before.said(), said)) {
            let saying = &said.saying;
            let text = format!("says {}, term {}", saying.word, saying.term);
            told.push(Told::new("says", text).with("says", saying.word.to_string()).with("term", saying.term.value()));
        }
        match (before.asks(), self.asks()) {
            (false, true) => told.push(Told::new("asks", "a peer is suspect: quick heartbeats that ask for an answer")),
            (true, false) => told.push(Told::new("asks", "no peer is suspect any more: the usual beat")),
            (true, true) | (false, false) => {}
        }
        match (before.is_running(), self.is_running()) {
            (false, true) => told.push(Told::new("silence", "heartbeats go out").with("running", true)),
            (true, false) => told.push(Told::new("silence", "falls silent").with("running", false)),
            (true, true) | (false, false) => {}
        }
        told.extend(output.map(|round| sent(&round, input)));
        if told.is_empty() {
            told.push(Told::routine("input", "the status database changed"));
        }
        told
    }
}

fn is_news(before: Option<&Said>, after: &Said) -> bool {
    before.is_none_or(|before| {
        let (old, new) = (&before.saying, &after.saying);
        !same_word(old.word, new.word) || old.term != new.term
    })
}

fn sent(round: &Round, input: &BeatInput) -> Told {
    let asks = if round.reply_wanted { ", an answer is wanted" } else { "" };
    let text = format!("heartbeats to all peers: {}{asks}", round.saying.word);
    if *input == BeatInput::Farewell {
        return Told::new("farewell", format!("last {text}"));
    }
    Told::routine("beat", text)
}

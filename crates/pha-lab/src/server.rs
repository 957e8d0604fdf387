//! The web service of the lab: answers every request with the node's name, over HTTP and, on the same port, over UDP.
//!
//! One request at a time, one thread per protocol, nothing but the standard library: it starts in a millisecond, so
//! that the measured outage is pha's and not the service's.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What a server prints when it can be asked.
const READY: &str = "ready";

/// Longest wait for the request of a client that has connected.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves `name` on `address` for ever.
pub fn serve(address: &str, name: &str, pid_file: Option<&Path>) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("TCP {address}"))?;
    let socket = UdpSocket::bind(address).with_context(|| format!("UDP {address}"))?;
    if let Some(path) = pid_file {
        std::fs::write(path, format!("{}\n", std::process::id())).with_context(|| path.display().to_string())?;
    }
    println!("{READY}");
    std::io::stdout().flush().ok();
    let datagram_name = name.to_owned();
    std::thread::spawn(move || answer_datagrams(&socket, &datagram_name));
    for connection in listener.incoming().flatten() {
        // A client that went away is its own problem.
        let _ = answer(connection, name);
    }
    Ok(())
}

/// Starts [`serve`] in the background and returns once it can be asked.
pub fn serve_in_background(address: &str, name: &str, pid_file: Option<&Path>) -> Result<()> {
    let mut command = Command::new(std::env::current_exe().context("own file")?);
    command.args(["serve", address, name]);
    if let Some(path) = pid_file {
        command.arg("--pid-file").arg(path);
    }
    let mut server = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("server")?;
    let mut line = String::new();
    if let Some(output) = server.stdout.take() {
        BufReader::new(output).read_line(&mut line).context("server")?;
    }
    if line.trim() != READY {
        bail!("the server on {address} did not start");
    }
    Ok(())
}

fn answer(mut connection: TcpStream, name: &str) -> std::io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_nodelay(true)?;
    let mut request = [0; 1024];
    let _ = connection.read(&mut request)?;
    let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close";
    write!(connection, "{head}\r\nContent-Length: {}\r\n\r\n{name}\n", name.len() + 1)
}

fn answer_datagrams(socket: &UdpSocket, name: &str) {
    let mut buffer = [0; 64];
    loop {
        // An error here is an ICMP message about an earlier answer.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let mut reply = buffer[..length].to_vec();
        reply.extend_from_slice(name.as_bytes());
        let _ = socket.send_to(&reply, from);
    }
}

//! How fast the broker passes messages on, next to a bare relay in the same run.
//!
//! One publisher, one subscriber, 100-byte payloads. The relay reads frames and writes them to
//! the other socket, either one by one or all frames of a read at once; it understands nothing.
//! Run it with `cargo run --release -p amps-broker --example fan_out`.

use amps_broker::Broker;
use amps_core::CommandType;
use amps_core::protocol::{Field, FrameBuffer, FrameWriter, PREFIX};
use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

const MESSAGES: usize = 1_000_000;
const ROUNDS: usize = 3;
const ROUND_TRIPS: u32 = 20_000;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let mut payload = br#"{"id":1,"text":""#.to_vec();
    payload.resize(98, b'x');
    payload.extend_from_slice(br#""}"#);
    let mut frame = Vec::new();
    let mut writer = FrameWriter::begin(&mut frame, CommandType::Publish);
    writer.text(Field::Topic, b"orders");
    writer.finish(&payload);

    for round in 1..=ROUNDS {
        let single = relay(&frame, false)?;
        let bulk = relay(&frame, true)?;
        let broker = broker(&frame)?;
        println!(
            "round {round}: relay by frame {single:.2} M/s, relay by read {bulk:.2} M/s, \
             broker {broker:.2} M/s = {:.2} and {:.2} of them",
            broker / single,
            broker / bulk
        );
    }
    let (bare, through) = (echo(&frame)?, round_trip(&frame)?);
    println!("round trip: bare {bare:.1} us, through the broker {through:.1} us");
    Ok(())
}

/// Microseconds per round trip to a thread that sends back what it reads.
fn echo(frame: &[u8]) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let socket = TcpStream::connect(listener.local_addr()?)?;
    let (mut peer, _) = listener.accept()?;
    peer.set_nodelay(true)?;
    let echo = thread::spawn(move || -> io::Result<()> {
        let mut buffer = vec![0; 4096];
        loop {
            let count = peer.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            peer.write_all(&buffer[..count])?;
        }
    });
    let time = ping(socket, frame)?;
    echo.join().map_err(|_| "the echo failed")??;
    Ok(time)
}

/// Microseconds from a publish to the message's coming back to its publisher.
fn round_trip(frame: &[u8]) -> Result<f64> {
    let broker = Broker::builder().start()?;
    let socket = log_on(broker.address(), "both")?;
    command(
        &socket,
        br#"{"c":"subscribe","cid":"1","t":"orders","a":"processed"}"#,
    )?;
    ping(socket, frame)
}

fn ping(mut socket: TcpStream, frame: &[u8]) -> Result<f64> {
    socket.set_nodelay(true)?;
    let mut frames = FrameBuffer::default();
    let start = Instant::now();
    for _ in 0..ROUND_TRIPS {
        socket.write_all(frame)?;
        while frames.next_frame()?.is_none() {
            let count = socket.read(frames.space())?;
            if count == 0 {
                return Err("the stream ended early".into());
            }
            frames.advance(count);
        }
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUND_TRIPS))
}

/// Millions of messages per second from the first byte written to the last frame received.
fn measure(to: TcpStream, mut from: TcpStream, frame: &[u8]) -> Result<f64> {
    let chunk = frame.repeat(64);
    let start = Instant::now();
    let publisher = thread::spawn(move || -> io::Result<()> {
        for _ in 0..MESSAGES / 64 {
            (&to).write_all(&chunk)?;
        }
        Ok(())
    });
    let mut frames = FrameBuffer::default();
    let mut received = 0;
    while received < MESSAGES / 64 * 64 {
        let count = from.read(frames.space())?;
        if count == 0 {
            return Err("the stream ended early".into());
        }
        frames.advance(count);
        while frames.next_frame()?.is_some() {
            received += 1;
        }
    }
    let rate = received as f64 / start.elapsed().as_secs_f64() / 1e6;
    publisher.join().map_err(|_| "the publisher failed")??;
    Ok(rate)
}

fn relay(frame: &[u8], bulk: bool) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let to = TcpStream::connect(address)?;
    let (source, _) = listener.accept()?;
    let from = TcpStream::connect(address)?;
    let (sink, _) = listener.accept()?;
    for socket in [&to, &source, &from, &sink] {
        socket.set_nodelay(true)?;
    }
    let relay = thread::spawn(move || pass_on(source, sink, bulk));
    let rate = measure(to, from, frame)?;
    // The publisher's socket is closed: the relay has come to its end.
    relay.join().map_err(|_| "the relay failed")??;
    Ok(rate)
}

fn pass_on(mut source: TcpStream, mut sink: TcpStream, bulk: bool) -> Result<()> {
    let mut frames = FrameBuffer::default();
    let mut out = Vec::new();
    loop {
        let count = source.read(frames.space())?;
        if count == 0 {
            return Ok(());
        }
        frames.advance(count);
        out.clear();
        while let Some(frame) = frames.next_frame()? {
            out.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            out.extend_from_slice(&frame);
            if !bulk {
                sink.write_all(&out)?;
                out.clear();
            }
        }
        sink.write_all(&out)?;
    }
}

fn broker(frame: &[u8]) -> Result<f64> {
    let broker = Broker::builder().output_limit(1 << 30).start()?;
    let publisher = log_on(broker.address(), "publisher")?;
    let subscriber = log_on(broker.address(), "subscriber")?;
    command(
        &subscriber,
        br#"{"c":"subscribe","cid":"1","t":"orders","a":"processed"}"#,
    )?;
    measure(publisher, subscriber, frame)
}

fn log_on(address: SocketAddr, name: &str) -> Result<TcpStream> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let logon =
        format!(r#"{{"c":"logon","cid":"0","client_name":"{name}","mt":"json","a":"processed"}}"#);
    command(&socket, logon.as_bytes())?;
    Ok(socket)
}

/// Sends a command and reads its acknowledgement.
fn command(mut socket: &TcpStream, body: &[u8]) -> Result<()> {
    let length = (body.len() as u32).to_be_bytes();
    socket.write_all(&[&length[..], body].concat())?;
    let mut prefix = [0; PREFIX];
    socket.read_exact(&mut prefix)?;
    let mut answer = vec![0; u32::from_be_bytes(prefix) as usize];
    socket.read_exact(&mut answer)?;
    Ok(())
}

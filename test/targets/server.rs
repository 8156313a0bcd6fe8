// server-rust PORT: like static/server.c, with the threads, channels and locks of Rust's standard library.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;

fn answer(mut stream: TcpStream, count: &Mutex<u64>) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request)? == 0 {
        return Ok(());
    }
    let number = {
        let mut count = count.lock().unwrap();
        *count += 1;
        *count
    };
    write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{number}\n")
}

fn work(jobs: Arc<Mutex<Receiver<TcpStream>>>, count: Arc<Mutex<u64>>) {
    loop {
        let job = jobs.lock().unwrap().recv();
        match job {
            // A client that has gone away already is no reason to end.
            Ok(stream) => drop(answer(stream, &count)),
            Err(_) => return,
        }
    }
}

fn main() {
    let port = std::env::args().nth(1).expect("usage: server-rust PORT");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("bind");
    let (sender, receiver) = channel();
    let (jobs, count) = (Arc::new(Mutex::new(receiver)), Arc::new(Mutex::new(0)));
    for number in 0..4 {
        let (jobs, count) = (jobs.clone(), count.clone());
        thread::Builder::new().name(format!("worker {number}")).spawn(move || work(jobs, count)).unwrap();
    }
    for stream in listener.incoming().flatten() {
        sender.send(stream).unwrap();
    }
}

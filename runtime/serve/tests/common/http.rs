//! A server on a port of its own, and clients that speak plain HTTP.

#![allow(dead_code)]

use lostwax_serve::{Server, Service, Settings};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long clients wait for anything.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The texts of a stream, and the reason why it ended.
pub type Streamed = (Vec<String>, String);

/// A server, until it is dropped.
pub struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a server on a free port.
    pub fn serve(service: Service, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let server = Server::new(service, settings).unwrap();
                server.run(listener, async { drop(stopped.await) }).await;
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until it has stopped.
    pub fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = Answer::to(self.request("GET", path, "", ""));
        (answer.status, answer.body)
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        Answer::to(self.send(path, body, ""))
    }

    /// The answer to a request that must succeed.
    pub fn json(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// The status and the code of the error.
    pub fn unsupported_reason(&self, path: &str, body: &str) -> (u16, String) {
        let answer = self.post(path, body);
        let error = &answer.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        (answer.status, error["code"].as_str().unwrap_or_default().to_string())
    }

    /// Sends a request and does not wait for the answer.
    pub fn send(&self, path: &str, body: &str, headers: &str) -> TcpStream {
        self.request("POST", path, body, headers)
    }

    /// Sends a request that promises `length` bytes and has only those of `body`.
    pub fn send_part(&self, path: &str, body: &str, length: usize) -> TcpStream {
        self.write("POST", path, body, length, "")
    }

    fn request(&self, method: &str, path: &str, body: &str, headers: &str) -> TcpStream {
        self.write(method, path, body, body.len(), headers)
    }

    fn write(&self, method: &str, path: &str, body: &str, length: usize, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    /// The texts of a stream of chunks, and the reason why it ended.
    pub fn stream(&self, content: &str, max_tokens: usize) -> Streamed {
        let answer = self.post("/v1/chat/completions", &ask(content, max_tokens, true));
        let chunks: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (done, chunks) = chunks.split_last().expect("there are chunks");
        assert_eq!(*done, "[DONE]", "{}", answer.body);
        let chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let texts = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).map(str::to_string);
        let reason = chunks.iter().find_map(|chunk| chunk["choices"][0]["finish_reason"].as_str());
        (texts.collect(), reason.unwrap().to_string())
    }

    /// What clients get that all ask at the same time, in the order of their questions.
    pub fn streams(&self, questions: &[String], max_tokens: usize) -> Vec<Streamed> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = questions.iter().map(|question| scope.spawn(|| self.stream(question, max_tokens))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        })
    }

    pub fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("lostwax_{name} ")));
        line.unwrap().parse().unwrap()
    }

    pub fn wait_for(&self, name: &str, value: u64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < TIMEOUT, "{name} is {}", self.metric(name));
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A whole answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads until the server closes the connection.
    pub fn to(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        Self { status, head, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// A request for a chat without chance.
pub fn ask(content: &str, max_tokens: usize, stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": content }]);
    json!({ "messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": stream }).to_string()
}

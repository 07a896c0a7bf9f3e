//! The server as its clients see it, with a decoder that is written in Rust.

#[path = "common/decoder.rs"]
mod decoder;

use decoder::{Babbler, language};
use lostwax::serve::{Embed, Server, Service, Settings};
use lostwax_runtime::llm::Decoder;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(20);

/// A server on a port of its own, until it is dropped.
struct Running {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    fn start(slots: usize, pause: Duration, settings: Settings) -> Self {
        let decoders = (0..slots).map(|_| Box::new(Babbler::with_pause(pause)) as Box<dyn Decoder>).collect();
        Self::serve(Service { name: "babbler".into(), language: language(), decoders, embed: None }, settings)
    }

    fn encoder() -> Self {
        let embed: Embed = Box::new(|tokens| Ok(vec![tokens.len() as f32, 0.5]));
        let service = Service { name: "encoder".into(), language: language(), decoders: Vec::new(), embed: Some(embed) };
        Self::serve(service, Settings::default())
    }

    fn serve(service: Service, settings: Settings) -> Self {
        let (stop, stopped) = oneshot::channel();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let server = Server::new(service, settings).unwrap();
                server.run(listener, async { drop(stopped.await) }).await.unwrap();
            });
        });
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    fn get(&self, path: &str) -> (u16, String) {
        let answer = Answer::to(self.request("GET", path, "", ""));
        (answer.status, answer.body)
    }

    fn post(&self, path: &str, body: &str) -> Answer {
        Answer::to(self.send(path, body, ""))
    }

    fn json(&self, path: &str, body: Value) -> Value {
        let answer = self.post(path, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// The status and the code of the error.
    fn refusal(&self, path: &str, body: &str) -> (u16, String) {
        let answer = self.post(path, body);
        let error = &answer.json()["error"];
        assert!(error["message"].is_string() && error["type"].is_string(), "{error}");
        (answer.status, error["code"].as_str().unwrap_or_default().to_string())
    }

    /// Sends a request and does not wait for the answer.
    fn send(&self, path: &str, body: &str, headers: &str) -> TcpStream {
        self.request("POST", path, body, headers)
    }

    fn request(&self, method: &str, path: &str, body: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        stream
    }

    /// The texts of a stream of chunks, and the reason why it ended.
    fn stream(&self, content: &str, max_tokens: usize) -> (Vec<String>, String) {
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

    fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("lostwax_{name} ")));
        line.unwrap().parse().unwrap()
    }

    fn wait_for(&self, name: &str, value: u64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < PATIENCE, "{name} is {}", self.metric(name));
            sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn to(stream: TcpStream) -> Self {
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

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

fn ask(content: &str, max_tokens: usize, stream: bool) -> String {
    let messages = json!([{ "role": "user", "content": content }]);
    json!({ "messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": stream }).to_string()
}

fn quick(slots: usize) -> Running {
    Running::start(slots, Duration::ZERO, Settings::default())
}

#[test]
fn a_chat_is_answered() {
    let server = quick(1);
    let answer = server.json("/v1/chat/completions", serde_json::from_str(&ask("hello", 5, false)).unwrap());
    let choice = &answer["choices"][0];
    assert_eq!((&answer["object"], &answer["model"]), (&"chat.completion".into(), &"babbler".into()));
    assert_eq!((&choice["message"]["role"], &choice["finish_reason"]), (&"assistant".into(), &"length".into()));
    assert_eq!(choice["message"]["content"].as_str().unwrap().len(), 5);
    let prompt = "<user>hello\n<assistant>".len();
    assert_eq!(answer["usage"]["prompt_tokens"], prompt);
    assert_eq!((&answer["usage"]["completion_tokens"], &answer["usage"]["total_tokens"]), (&5.into(), &(prompt + 5).into()));
    let (texts, reason) = server.stream("hello", 5);
    assert_eq!((texts.concat().as_str(), reason.as_str()), (choice["message"]["content"].as_str().unwrap(), "length"));
    assert_eq!(server.get("/health").0, 200);
    assert_eq!(server.metric("generated_tokens_total"), 10);
}

#[test]
fn texts_are_completed() {
    let server = quick(2);
    let complete = |more: Value| {
        let mut request = json!({ "prompt": "once upon", "temperature": 0, "max_tokens": 400 });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.json("/v1/completions", request)["choices"][0].clone()
    };
    let whole = complete(json!({}));
    let text = whole["text"].as_str().unwrap();
    assert!(whole["finish_reason"] == "stop" && text.len() > 4, "{whole}");
    let stopped = complete(json!({ "stop": [text[2..4]] }));
    assert_eq!(
        (stopped["text"].as_str().unwrap(), &stopped["finish_reason"]),
        (&text[..text.find(&text[2..4]).unwrap()], &"stop".into())
    );
    let drawn =
        |seed: u64| complete(json!({ "temperature": 2.0, "min_p": 0, "top_p": 1, "top_k": 0, "seed": seed, "max_tokens": 9 }));
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let tokens: Vec<u32> = b"once upon".iter().map(|byte| u32::from(*byte)).collect();
    assert_eq!(complete(json!({ "prompt": tokens })), whole);
    let streamed = server.post(
        "/v1/completions",
        &json!({ "prompt": "once upon", "temperature": 0, "max_tokens": 3, "stream": true, "stream_options": { "include_usage": true } }).to_string(),
    );
    assert!(
        streamed.head.contains("text/event-stream") && streamed.body.contains("\"completion_tokens\":3"),
        "{}",
        streamed.body
    );
}

#[test]
fn many_clients_get_what_one_gets() {
    let questions: Vec<String> = (0..8).map(|client| format!("question {client} {}", "x".repeat(300 * (client % 3)))).collect();
    let alone = quick(1);
    let expected: Vec<_> = questions.iter().map(|question| alone.stream(question, 200)).collect();
    for slots in [3, 8] {
        let server = Running::start(slots, Duration::from_millis(1), Settings::default());
        let found: Vec<_> = std::thread::scope(|scope| {
            let clients: Vec<_> = questions.iter().map(|question| scope.spawn(|| server.stream(question, 200))).collect();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        assert_eq!(found, expected);
        server.wait_for("slots_busy", 0);
    }
}

#[test]
fn clients_that_go_away_leave_their_slots() {
    let server = Running::start(2, Duration::from_millis(2), Settings::default());
    for client in 0..100 {
        let mut stream = server.send("/v1/chat/completions", &ask("go on", 2000, client % 2 == 0), "");
        if client % 4 == 0 {
            stream.read_exact(&mut [0; 20]).unwrap();
        }
    }
    server.wait_for("slots_busy", 0);
    server.wait_for("queue_length", 0);
    assert_eq!(server.stream("hello", 3).0.concat().len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let server = quick(1);
    let chat = "/v1/chat/completions";
    assert_eq!(server.refusal(chat, "{\"messages\": [").0, 400);
    assert_eq!(server.refusal(chat, "{}").0, 400);
    assert_eq!(server.refusal(chat, "{\"messages\": []}").0, 400);
    assert_eq!(server.refusal(chat, &ask(&"x".repeat(10 << 20), 5, false)).0, 413);
    assert_eq!(server.refusal(chat, &ask(&"x".repeat(3000), 5, true)), (400, "context_length_exceeded".into()));
    assert_eq!(server.refusal("/v1/completions", "{\"prompt\": \"x\", \"n\": 2}"), (400, "unsupported".into()));
    assert_eq!(server.refusal("/v1/completions", "{\"prompt\": \"x\", \"temperature\": -1}").0, 400);
    assert_eq!(server.refusal("/v1/completions", "{\"prompt\": [\"x\", \"y\"]}").0, 400);
    assert_eq!(server.refusal("/v1/completions", "{\"prompt\": [999999]}").0, 400);
    assert_eq!(server.refusal("/v1/embeddings", "{\"input\": \"x\"}"), (400, "unsupported".into()));
    assert_eq!(server.refusal("/v1/nothing", "{}").0, 404);
    assert_eq!(server.refusal("/v1/models", "{}").0, 405);
    assert_eq!(server.get("/v1/models/babbler").0, 200);
    assert_eq!(server.get("/v1/models/other").0, 404);
    assert_eq!(server.stream("hello", 3).0.concat().len(), 3);
}

#[test]
fn a_key_opens_the_server() {
    let server = Running::start(1, Duration::ZERO, Settings { api_key: Some("secret".into()), ..Settings::default() });
    let with = |headers: &str| Answer::to(server.send("/v1/chat/completions", &ask("hello", 2, false), headers));
    assert_eq!((with("").status, with("authorization: Bearer wrong\r\n").status), (401, 401));
    assert_eq!(with("").json()["error"]["code"], "invalid_api_key");
    assert_eq!(with("authorization: Bearer secret\r\n").status, 200);
    assert_eq!((server.get("/health").0, server.get("/metrics").0, server.get("/v1/models").0), (200, 401, 401));
}

#[test]
fn who_does_not_fit_is_sent_away() {
    let server = Running::start(1, Duration::from_millis(5), Settings { queue_length: 1, ..Settings::default() });
    let body = ask("go on and on", 2000, true);
    let first = server.send("/v1/chat/completions", &body, "");
    server.wait_for("slots_busy", 1);
    let second = server.send("/v1/chat/completions", &body, "");
    server.wait_for("queue_length", 1);
    let third = server.post("/v1/chat/completions", &body);
    assert!(third.status == 503 && third.head.contains("retry-after: "), "{}", third.head);
    drop((first, second));
    server.wait_for("queue_length", 0);
    assert_eq!(server.stream("hello", 2).0.concat().len(), 2);
}

#[test]
fn a_request_has_its_time() {
    let settings = Settings { timeout: Duration::from_millis(100), ..Settings::default() };
    let server = Running::start(1, Duration::from_millis(30), settings);
    assert_eq!(server.refusal("/v1/chat/completions", &ask("hello", 2000, false)), (504, "timeout".into()));
    let streamed = server.post("/v1/chat/completions", &ask("hello", 2000, true));
    assert!(streamed.status == 200 && streamed.body.contains("\"code\":\"timeout\""), "{}", streamed.body);
    server.wait_for("slots_busy", 0);
}

#[test]
fn a_server_that_stops_ends_its_texts() {
    let mut server = Running::start(1, Duration::from_millis(5), Settings::default());
    let first = server.send("/v1/chat/completions", &ask("hello", 60, true), "");
    server.wait_for("slots_busy", 1);
    let second = server.send("/v1/chat/completions", &ask("hello", 60, false), "");
    server.wait_for("queue_length", 1);
    drop(server.stop.take());
    assert!(Answer::to(first).body.contains("[DONE]"));
    assert_eq!(Answer::to(second).status, 503);
    server.thread.take().unwrap().join().unwrap();
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn texts_become_vectors() {
    let server = Running::encoder();
    let answer = server.json("/v1/embeddings", json!({ "input": ["abc", "abcd"] }));
    assert_eq!((&answer["data"][0]["embedding"], &answer["data"][1]["embedding"]), (&json!([3.0, 0.5]), &json!([4.0, 0.5])));
    assert_eq!(answer["usage"]["total_tokens"], 7);
    let encoded = server.json("/v1/embeddings", json!({ "input": "abc", "encoding_format": "base64" }));
    assert_eq!(encoded["data"][0]["embedding"], "AABAQAAAAD8=");
    assert_eq!(server.refusal("/v1/chat/completions", &ask("hello", 1, false)), (400, "unsupported".into()));
    assert_eq!(server.refusal("/v1/embeddings", "{\"input\": []}").0, 400);
}

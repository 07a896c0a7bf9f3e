use super::*;
use lostwax_ir::random::Random;
use lostwax_ir::types::DType;

/// Writes GGUF headers.
struct Writer {
    pairs: (u64, Vec<u8>),
    tensors: (u64, Vec<u8>),
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Writer {
    fn new() -> Self {
        Self { pairs: (0, Vec::new()), tensors: (0, Vec::new()) }
    }

    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.0 += 1;
        self.pairs.1.extend([&string(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    fn array(self, key: &str, kind: u32, count: u64, items: &[u8]) -> Self {
        let value = [&kind.to_le_bytes()[..], &count.to_le_bytes(), items].concat();
        self.pair(key, 9, &value)
    }

    /// A tensor with its dims innermost first.
    fn tensor(mut self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let dim_bytes: Vec<u8> = dims.iter().flat_map(|dim| dim.to_le_bytes()).collect();
        let rank = (dims.len() as u32).to_le_bytes();
        self.tensors.0 += 1;
        self.tensors.1.extend([&string(name)[..], &rank, &dim_bytes, &kind.to_le_bytes(), &offset.to_le_bytes()].concat());
        self
    }

    fn bytes(self, version: u32, alignment: usize, data: &[u8]) -> Vec<u8> {
        let counts = [self.tensors.0.to_le_bytes(), self.pairs.0.to_le_bytes()].concat();
        let mut bytes = [b"GGUF", &version.to_le_bytes()[..], &counts, &self.pairs.1, &self.tensors.1].concat();
        bytes.resize(bytes.len().next_multiple_of(alignment), 0);
        bytes.extend(data);
        bytes
    }
}

fn open(bytes: &[u8]) -> Result<Gguf, ImportError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Gguf::open(file.path())
}

fn problem(writer: Writer, data: &[u8]) -> String {
    open(&writer.bytes(3, 32, data)).err().map(|error| error.to_string()).unwrap_or_default()
}

/// All types of values, and tensors of two types.
fn sample(version: u32) -> Vec<u8> {
    let text = string("llama");
    let nested = [&4u32.to_le_bytes()[..], &1u64.to_le_bytes(), &7u32.to_le_bytes()].concat();
    let mut writer = Writer::new().pair("general.architecture", 8, &text).pair("general.alignment", 4, &64u32.to_le_bytes());
    for (kind, size) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (10, 8), (11, 8)] {
        writer = writer.pair(&format!("integer.{kind}"), kind, &(-2i64).to_le_bytes()[..size]);
        writer = writer.array(&format!("integers.{kind}"), kind, 2, &[&[1; 8][..size], &[2; 8][..size]].concat());
    }
    let writer = writer.pair("f32", 6, &1.5f32.to_le_bytes()).pair("f64", 12, &2.5f64.to_le_bytes()).pair("bool", 7, &[1]);
    let writer = writer.array("f32s", 6, 1, &1.5f32.to_le_bytes()).array("f64s", 12, 1, &2.5f64.to_le_bytes());
    let writer = writer.array("bools", 7, 2, &[0, 1]).array("strings", 8, 2, &[string("a"), string("ü")].concat());
    let writer = writer.array("arrays", 9, 1, &nested).tensor("f", &[2, 3, 1], 0, 0).tensor("q", &[32, 2], 8, 64);
    writer.bytes(version, 64, &(0..132).collect::<Vec<u8>>())
}

#[test]
fn all_values_are_read() {
    let gguf = open(&sample(3)).unwrap();
    let metadata = gguf.metadata();
    assert_eq!(metadata.iter().next().map(|(key, _)| key), Some("general.architecture"));
    assert_eq!(metadata.get::<&str>("general.architecture").unwrap(), "llama");
    let integers: Vec<i64> = [1, 3, 5, 11].iter().map(|kind| metadata.get(&format!("integer.{kind}")).unwrap()).collect();
    assert_eq!(integers, [-2; 4]);
    assert_eq!(metadata.get::<&Value>("integer.10").unwrap(), &Value::Integer(i128::from(u64::MAX - 1)));
    assert_eq!(metadata.get::<Vec<usize>>("integers.0").unwrap(), [1, 2]);
    assert_eq!(metadata.get::<Vec<i64>>("integers.3").unwrap(), [0x101, 0x202]);
    assert_eq!((metadata.get::<f32>("f32").unwrap(), metadata.get::<f64>("f64").unwrap()), (1.5, 2.5));
    assert_eq!(metadata.get::<&[f32]>("f32s").unwrap(), [1.5]);
    assert_eq!(metadata.get::<&[bool]>("bools").unwrap(), [false, true]);
    assert_eq!(metadata.get::<&[String]>("strings").unwrap(), ["a", "ü"]);
    assert_eq!(metadata.get::<&Value>("arrays").unwrap(), &Value::Array(Array::Array(vec![Array::U32(vec![7])])));
    assert_eq!(metadata.find::<u32>("missing").unwrap(), None);
    let errors =
        [metadata.get::<u32>("missing").err(), metadata.get::<u32>("bool").err(), metadata.get::<u32>("integer.1").err()];
    for (error, key) in errors.iter().zip(["`missing`", "`bool`", "`integer.1`"]) {
        assert!(error.as_ref().is_some_and(|error| error.to_string().contains(key)), "{error:?}");
    }
}

#[test]
fn tensors_are_views() {
    for version in [2, 3] {
        let gguf = open(&sample(version)).unwrap();
        let names: Vec<&str> = gguf.tensors().map(|view| view.name).collect();
        assert_eq!(names, ["f", "q"]);
        let (f, q) = (gguf.weights().tensor("f").unwrap(), gguf.weights().tensor("q").unwrap());
        assert_eq!((f.dtype, f.shape, f.bytes), (DType::F32, &[1, 3, 2][..], &(0..24).collect::<Vec<u8>>()[..]));
        assert_eq!((q.dtype.name(), q.shape, q.bytes.first(), q.bytes.len()), ("q8_0", &[2, 32][..], Some(&64), 68));
        assert_eq!(q.to_tensor().unwrap().to_f64().len(), 64);
    }
}

#[test]
fn problems_name_the_part() {
    let tensors = |dims: &[u64], kind, offset| problem(Writer::new().tensor("t", dims, kind, offset), &[0; 64]);
    assert!(tensors(&[16], 0, 32).contains("`t`: its 64 bytes lie outside"));
    assert!(tensors(&[4], 0, 8).contains("`t`: offset 8"));
    assert!(tensors(&[4], 0, u64::MAX - 31).contains("`t`: "));
    assert!(tensors(&[16], 2, 0).contains("`t`: dims [16]"));
    assert!(tensors(&[1 << 40, 1 << 40], 0, 0).contains("`t`: dims"));
    assert!(tensors(&[1; 5], 0, 0).contains("`t` exceeds a limit"));
    assert!(tensors(&[256], 16, 0).contains("unsupported model: tensor `t`: element type iq2_xxs"));
    assert!(tensors(&[256], 99, 0).contains("`t`: element type 99"));
    let two = |name: &str| problem(Writer::new().tensor("a", &[9], 0, 0).tensor(name, &[1], 0, 32), &[0; 64]);
    assert!(two("a").contains("`a`: the name occurs twice"));
    assert!(two("b").contains("`b`: its data overlap those of tensor `a`"));
    let key = |kind, value: &[u8]| problem(Writer::new().pair("k", kind, value), &[]);
    assert!(key(13, &[0; 8]).contains("`k`: type 13"));
    assert!(key(7, &[2]).contains("`k`: a boolean"));
    assert!(key(8, &[1, 0, 0, 0, 0, 0, 0, 0, 255]).contains("`k`: a string is not UTF-8"));
    assert!(key(8, &u64::MAX.to_le_bytes()).contains("`k`: it claims"));
    let array = |kind, count| problem(Writer::new().array("k", kind, count, &[0; 16]), &[]);
    assert!([0, 6, 8, 9, 10].into_iter().all(|kind| array(kind, u64::MAX >> 3).contains("`k`: it")));
    let deep = [9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(9);
    assert!(problem(Writer::new().pair("k", 9, &deep), &[]).contains("`k` exceeds a limit"));
    assert!(problem(Writer::new().pair("k", 7, &[1]).pair("k", 7, &[1]), &[]).contains("`k`: it occurs twice"));
    assert!(problem(Writer::new().pair("general.alignment", 4, &[3, 0, 0, 0]), &[]).contains("`general.alignment`"));
}

#[test]
fn other_versions_are_told_apart() {
    let version = |number: u32| open(&sample(number)).err().map(|error| error.to_string()).unwrap_or_default();
    assert!(version(1).contains("version 1"));
    assert!(version(4).contains("version 4"));
    assert!(version(3u32.swap_bytes()).contains("big-endian"));
    assert!(open(b"GGML").is_err_and(|error| error.to_string().contains("not a GGUF file")));
}

#[test]
fn damaged_files_give_errors() {
    let bytes = sample(3);
    for length in 0..bytes.len() {
        assert!(header::read(&bytes[..length]).is_err(), "{length}");
    }
    for at in 0..bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            drop(header::read(&damaged));
        }
    }
}

#[test]
fn random_bytes_give_errors() {
    let mut random = Random::new(1);
    for _ in 0..2000 {
        let start: &[u8] = if random.one_in(2) { b"GGUF\x03\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0" } else { b"" };
        let bytes: Vec<u8> = (0..random.size(0, 300)).map(|_| (random.bits() >> random.int(0, 8)) as u8 & 15).collect();
        drop(header::read(&[start, &bytes].concat()));
    }
}

/// The files of `./x models`, with their number of layers and of tensors.
#[test]
fn real_files_are_read() {
    for (file, layers) in [("smollm2-135m-instruct-q4_1.gguf", 30), ("gemma-3-270m-q4_k_m.gguf", 18)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(file);
        if !path.is_file() {
            println!("skipped {file}: run `./x models`");
            continue;
        }
        let gguf = Gguf::open(&path).unwrap();
        let name: &str = gguf.metadata().get("general.architecture").unwrap();
        assert_eq!(gguf.metadata().get::<usize>(&format!("{name}.block_count")).unwrap(), layers);
        let tokens: &[String] = gguf.metadata().get("tokenizer.ggml.tokens").unwrap();
        let width = gguf.metadata().get(&format!("{name}.embedding_length")).unwrap();
        assert_eq!(gguf.weights().tensor("token_embd.weight").unwrap().shape, [tokens.len(), width]);
        let norm = gguf.weights().tensor("output_norm.weight").unwrap().to_tensor().unwrap();
        assert!(norm.to_f64().iter().all(|value| value.is_finite()));
        let values = gguf.weights().tensor("blk.0.ffn_down.weight").unwrap().to_tensor().unwrap().to_f64();
        assert!(values.iter().all(|value| value.abs() < 100.0));
    }
}

//! Quantities as text, and text as quantities.

use bytesize::ByteSize;
use lostwax_runtime::TensorInfo;

const UNITS: &[(&str, u64)] = &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// A number of bytes for people.
pub fn bytes(count: u64) -> String {
    ByteSize(count).to_string()
}

/// Reads a number of bytes such as `1500000`, `64K`, `64MB` or `64MiB`; letters stand for powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().trim_end_matches(['B', 'b', 'i']).to_ascii_uppercase();
    let scale = match unit.as_str() {
        "" => Some(1),
        unit => UNITS.iter().find(|(name, _)| name.starts_with(unit)).map(|(_, size)| *size),
    };
    let count = number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale));
    count.ok_or_else(|| format!("`{text}` is not a number of bytes such as 64MiB"))
}

/// `f32[1, 3, 32*h]`.
pub fn tensor_type(info: &TensorInfo) -> String {
    format!("{}[{}]", info.dtype, info.dims.join(", "))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_counts_have_units() {
        assert_eq!([0, 1000, 1536, 168_296_448].map(bytes), ["0 B", "1000 B", "1.5 KiB", "160.5 MiB"]);
    }

    #[test]
    fn byte_counts_are_read() {
        assert_eq!(parse_bytes("12"), Ok(12));
        assert_eq!(parse_bytes("64K"), Ok(64 << 10));
        assert_eq!(parse_bytes("3MiB"), Ok(3 << 20));
        assert_eq!(parse_bytes("2 gb"), Ok(2 << 30));
        assert!(parse_bytes("x").is_err() && parse_bytes("1T").is_err());
    }
}

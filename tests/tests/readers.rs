//! What reads bytes from outside survives damage, and agrees on element types.

use lostwax_ir::blocks::BLOCK_FORMATS;
use lostwax_ir::tensor::Tensor;
use lostwax_ir::types::DType;
use lostwax_runtime::format::{ELEMENT_TYPES, ElementType};
use lostwax_tests::fuzz::subjects;

/// Cases per reader; `./x fuzz` runs as many as time permits.
const CASES: u64 = 3000;

#[test]
fn damaged_bytes_give_errors() {
    for subject in subjects() {
        for seed in 0..CASES {
            subject.run(seed).unwrap_or_else(|problem| panic!("{} {seed}: {problem}", subject.name));
        }
    }
}

/// A stored tensor of 2 GiB, of which there are only a few bytes.
#[test]
fn memory_is_not_taken_for_what_a_file_merely_claims() {
    let start = std::time::Instant::now();
    for _ in 0..100 {
        assert!(Tensor::from_bytes(DType::F32, &[1 << 29], &[0; 8]).is_none());
    }
    assert!(start.elapsed().as_secs() < 10);
}

/// Otherwise a seed could not be run again.
#[test]
fn seeds_determine_inputs() {
    for subject in subjects() {
        assert_eq!(subject.input(7), subject.input(7));
        assert!((0..20).any(|seed| subject.input(seed) != subject.input(seed + 1)), "{}", subject.name);
    }
}

#[test]
fn the_compiler_and_artifacts_have_the_same_element_types() {
    for element in ELEMENT_TYPES {
        let dtype = DType::from_name(element.name).unwrap_or_else(|| panic!("the compiler does not know {}", element.name));
        assert_eq!(dtype.name(), element.name);
        match dtype {
            DType::Block(format) => {
                assert_eq!((u64::from(format.values), u64::from(format.bytes)), (element.values_per_unit, element.unit_bytes));
            }
            _ => assert_eq!((element.values_per_unit, element.unit_bytes), (1, dtype.size() as u64), "{}", element.name),
        }
    }
    for format in BLOCK_FORMATS {
        assert!(ElementType::from_name(format.name).is_some(), "artifacts do not know {}", format.name);
    }
    let scalars = DType::scalars().filter(|dtype| ElementType::from_name(dtype.name()).is_some()).count();
    assert_eq!(scalars, DType::scalars().count());
}

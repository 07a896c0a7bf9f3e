use super::*;
use proptest::prelude::*;

fn h() -> Symbol {
    Symbol::dim("h")
}

#[test]
fn equality_is_algebraic() {
    let h = Dim::symbol(&h());
    let square = (h.clone() + 1.into()) * (h.clone() - 1.into());
    assert_eq!(square, h.clone() * h.clone() - 1.into());
    assert_eq!((h.clone() * 4.into()).floor_div(4), h);
}

#[test]
fn nested_floor_divisions_merge() {
    let h = Dim::symbol(&h());
    let half = (h.clone() - 1.into()).floor_div(2) + 1.into();
    let quarter = (half - 1.into()).floor_div(2) + 1.into();
    assert_eq!(quarter, (h - 1.into()).floor_div(4) + 1.into());
}

#[test]
fn bounded_remainders_vanish() {
    let (i, j) = (Symbol::new("i", 0, 9), Symbol::new("j", 0, 15));
    let flat = Dim::symbol(&i) * 16.into() + Dim::symbol(&j);
    assert_eq!(flat.floor_div(16), Dim::symbol(&i));
    assert_eq!(flat.modulo(16), Dim::symbol(&j));
}

#[test]
fn affine_split_finds_the_stride() {
    let (i, w) = (Symbol::new("i", 0, 9), Dim::symbol(&Symbol::dim("w")));
    let index = Dim::symbol(&i) * w.clone() + 3.into();
    assert_eq!(index.affine_in(&i), Some((w, 3.into())));
    assert_eq!(Dim::symbol(&i).floor_div(2).affine_in(&i), None);
}

#[test]
fn deep_nesting_is_refused() {
    let text = "(".repeat(100_000);
    assert!(parse_dim(&text, &|_| None).is_err());
}

fn any_dim() -> impl Strategy<Value = Dim> {
    let leaf = prop_oneof![
        (-20i64..20).prop_map(Dim::constant),
        prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(|name| Dim::symbol(&Symbol::new(name, 0, 40))),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| a + b),
            pair.clone().prop_map(|(a, b)| a - b),
            pair.clone().prop_map(|(a, b)| a * b),
            pair.clone().prop_map(|(a, b)| a.minimum(b)),
            pair.prop_map(|(a, b)| a.maximum(b)),
            (inner, 1i64..9).prop_map(|(a, d)| a.floor_div(d)),
        ]
    })
}

proptest! {
    #[test]
    fn text_round_trips(dim in any_dim()) {
        let resolve = |name: &str| Some(Symbol::new(name, 0, 40));
        prop_assert_eq!(parse_dim(&dim.to_string(), &resolve).unwrap(), dim);
    }

    #[test]
    fn arithmetic_agrees_with_integers(a in any_dim(), b in any_dim(), d in 1i64..9, values in prop::array::uniform3(0i64..=40)) {
        let bindings: Bindings = ["a", "b", "c"].iter().map(|name| name.to_string()).zip(values).collect();
        let (x, y) = (a.eval(&bindings), b.eval(&bindings));
        prop_assume!(x.is_some() && y.is_some());
        let (x, y) = (x.unwrap(), y.unwrap());
        prop_assume!(x.abs() < 1 << 30 && y.abs() < 1 << 30);
        prop_assert_eq!((a.clone() + b.clone()).eval(&bindings), Some(x + y));
        prop_assert_eq!((a.clone() * b.clone()).eval(&bindings), Some(x * y));
        prop_assert_eq!(a.minimum(b.clone()).eval(&bindings), Some(x.min(y)));
        prop_assert_eq!(a.floor_div(d).eval(&bindings), Some(x.div_euclid(d)));
        prop_assert_eq!(a.modulo(d).eval(&bindings), Some(x.rem_euclid(d)));
        let (low, high) = a.bounds();
        prop_assert!(low <= x && x <= high);
        if a.prove_le(&b) == Some(true) { prop_assert!(x <= y); }
        let mixed = b - a.modulo(d) * 5.into();
        let (low, high) = mixed.bounds();
        let value = mixed.eval(&bindings).unwrap();
        prop_assert!(low <= value && value <= high);
        if a.is_multiple_of(d) { prop_assert_eq!(x % d, 0); }
    }
}

#[test]
fn remainders_are_less_than_their_divisors() {
    let (t, i) = (Dim::symbol(&Symbol::new("t", 0, 127)), Dim::symbol(&Symbol::new("i", 0, 45)));
    let column = t.modulo(32) + i.modulo(4) * 32.into();
    assert_eq!((Dim::constant(127) - column.clone()).bounds(), (0, 127));
    assert!(column.minimum(127) == column);
    assert_eq!((i.floor_div(4) * 8.into() + i.modulo(4)).bounds(), (0, 89));
    assert!((t.clone() * 4.into()).minimum(124).is_multiple_of(4) && !t.minimum(124).is_multiple_of(4));
}

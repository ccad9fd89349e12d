//! Eight bytes looked at at once, each in its own lane of a number, the first one in the lowest.
//!
//! What is found has the high bit of its lane set. Above the first one that is found others may be marked
//! that are none.

const ONES: u64 = u64::MAX / 255;
const HIGH_BITS: u64 = ONES << 7;

/// The lanes that are this byte.
#[inline]
pub(crate) fn of_byte(lanes: u64, byte: u8) -> u64 {
    let others = lanes ^ (ONES * u64::from(byte));
    others.wrapping_sub(ONES) & !others & HIGH_BITS
}

/// The lanes that are below this byte, which is at most 128.
#[inline]
pub(crate) fn below(lanes: u64, byte: u8) -> u64 {
    lanes.wrapping_sub(ONES * u64::from(byte)) & !lanes & HIGH_BITS
}

/// The number of the first lane that was found; 8 if none was.
#[inline]
pub(crate) fn first(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_first_one_is_found(
            bytes in proptest::array::uniform8(proptest::prelude::any::<u8>()),
            byte in 0..=128_u8,
        ) {
            let lanes = u64::from_le_bytes(bytes);
            let place = |is_it: &dyn Fn(u8) -> bool| bytes.iter().position(|one| is_it(*one)).unwrap_or(8);
            proptest::prop_assert_eq!(first(of_byte(lanes, byte)), place(&|one| one == byte));
            proptest::prop_assert_eq!(first(below(lanes, byte)), place(&|one| one < byte));
            let both = of_byte(lanes, byte) | below(lanes, b' ');
            proptest::prop_assert_eq!(first(both), place(&|one| one == byte || one < b' '));
        }
    }
}

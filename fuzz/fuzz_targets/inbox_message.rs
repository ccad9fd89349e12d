#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cta_forwarder::bad_input::inbox::message(input));

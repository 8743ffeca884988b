#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| spec_fuzz::server_name(data));

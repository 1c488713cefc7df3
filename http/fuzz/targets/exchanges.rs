#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    covet_http_fuzz::exchanges::check(input);
});

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| openjibo_store_fuzz::run(&openjibo_store::fuzzing::BATCH_ANSWER, data));

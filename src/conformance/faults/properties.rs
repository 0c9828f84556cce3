//! The fault properties as tests.

/// Makes each property of [`conformance::faults`](crate::conformance::faults) a test of the caller's module.
///
/// The expression yields a [`FaultHarness`](crate::conformance::faults::FaultHarness); it is evaluated once a test, in
/// async code. Each needs a plan of its own.
#[macro_export]
macro_rules! conformance_fault_tests {
    ($harness:expr $(,)?) => {
        $crate::conformance_fault_tests! { @each $harness;
            identity_writes_end_as_the_content_says
            memory_writes_end_as_the_content_says
            media_writes_end_as_the_content_says
            lost_answers_lose_nothing
        }
    };
    (@each $harness:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::run(async {
                    let harness = $harness;
                    $crate::conformance::faults::$name(&harness).await;
                });
            }
        )*
    };
}

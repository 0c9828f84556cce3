//! Variables of the Cosmos SDK: which are taken, and which are refused.

use super::super::sdk::check_environment;
use super::*;

const BINARY: &str = "AZURE_COSMOS_BINARY_ENCODING_ENABLED";
const HEDGING: &str = "AZURE_COSMOS_HEDGING_ENABLED_OVERRIDE";
const BREAKER: &str = "AZURE_COSMOS_PPCB_ENABLED_OVERRIDE";
const REFRESH: &str = "AZURE_COSMOS_E2E_BACKGROUND_ACCOUNT_REFRESH_INTERVAL_MS";

#[test]
fn an_override_of_the_sdk_is_refused_by_name_with_all_other_problems() {
    // Guards: the SDK took these above what code sets for each read, and nobody said a word.
    for variable in [HEDGING, BREAKER] {
        for value in ["true", "1", "on", "YES", "perhaps"] {
            one(hosted(), &[(variable, value)], variable, "false");
        }
        for value in ["false", "0", " OFF ", "no", ""] {
            good(hosted(), &[(variable, value)]);
        }
    }
    for value in ["0", "300001", "-1", "often"] {
        one(hosted(), &[(REFRESH, value)], REFRESH, "300000");
    }
    for value in ["1", "300000", " "] {
        good(hosted(), &[(REFRESH, value)]);
    }
    let several = bad(
        hosted(),
        &[("AZURE_COSMOS_REGION", ""), (REFRESH, "x"), (HEDGING, "true"), ("OPENJIBO_STORE_PREFIX", "9")],
    );
    let named: Vec<_> = several.iter().map(|problem| problem.0).collect();
    assert_eq!(named, ["AZURE_COSMOS_REGION", HEDGING, REFRESH, "OPENJIBO_STORE_PREFIX"]);
}

#[test]
fn the_environment_of_the_process_is_checked_however_a_configuration_was_made() {
    // Guards: a configuration of setters alone was opened under an environment that the SDK then read.
    let environment = with(vars([]), &[(BREAKER, "on"), (REFRESH, "600000"), ("AZURE_COSMOS_REGION", "!")]);
    let error = check_environment(|name| environment.get(name).cloned()).unwrap_err();
    let named: Vec<_> = error.problems().iter().map(|problem| problem.variable).collect();
    assert_eq!(named, [BREAKER, REFRESH]);
    check_environment(|_| None).unwrap();
}

#[test]
fn binary_bodies_are_chosen_in_the_spellings_of_the_sdk() {
    for (value, chosen) in
        [("true", Some(true)), ("On", Some(true)), ("0", Some(false)), ("no", Some(false)), ("", None)]
    {
        assert_eq!(good(hosted(), &[(BINARY, value)]).cosmos_binary_encoding(), chosen, "{value}");
    }
    // The SDK takes what it does not know for false.
    one(hosted(), &[(BINARY, "enabled")], BINARY, "yes or on");
    for enabled in [true, false] {
        let built = AzureConfig::builder().with_vars(|name| hosted().get(name).cloned());
        let built = built.with_cosmos_binary_encoding(enabled).build().unwrap();
        assert_eq!(built.cosmos_binary_encoding(), Some(enabled));
    }
}

#[test]
fn hosts_of_emulators_are_known() {
    let emulated = |host: &str, named: &str| {
        let changes =
            [("AZURE_COSMOS_ENDPOINT", host), ("AZURE_COSMOS_EMULATOR_HOST", named), ("AZURE_COSMOS_KEY", KEY)];
        good(with(hosted(), &[("OPENJIBO_ALLOW_KEYS", "1")]), &changes).cosmos_may_be_emulated()
    };
    for host in [
        "http://127.0.0.1:8081",
        "http://127.9.9.9",
        "https://localhost:8081",
        "http://[::1]:8081",
        "https://cosmos:8081",
    ] {
        assert!(emulated(host, ""), "{host}");
    }
    for host in ["https://host.docker.internal:8081", "https://HOST.containers.internal"] {
        assert!(emulated(host, ""), "{host}");
    }
    for host in [
        "https://jibo.documents.azure.com",
        "https://10.0.0.7:8081",
        "https://[2001:db8::1]",
        "https://docker.internal.example",
    ] {
        assert!(!emulated(host, ""), "{host}");
    }
    assert!(emulated("https://10.0.0.7:8081", "10.0.0.7"));
    assert!(emulated("https://cosmos.lab.example", "Cosmos.Lab.Example"));
}

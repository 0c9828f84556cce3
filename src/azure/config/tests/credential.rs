//! The choice of the Entra ID credential.

use super::*;

/// The chosen credential's name.
fn chosen(changes: &[(&'static str, &str)]) -> &'static str {
    good(hosted(), changes).auth_names().0
}

#[test]
fn the_credential_is_the_named_one_in_any_case() {
    let principal = [("AZURE_TENANT_ID", GUID), ("AZURE_CLIENT_ID", GUID), ("AZURE_CLIENT_SECRET", "s")];
    let workload = [("AZURE_TENANT_ID", GUID), ("AZURE_CLIENT_ID", GUID), ("AZURE_FEDERATED_TOKEN_FILE", "/f")];
    let choose = |name, others: &[(&'static str, &'static str)]| {
        chosen(&[&[("AZURE_TOKEN_CREDENTIALS", name)], others].concat())
    };
    assert_eq!(chosen(&[]), "ManagedIdentityCredential");
    assert_eq!(choose("managedidentityCREDENTIAL", &[]), "ManagedIdentityCredential");
    assert_eq!(choose("WorkloadIdentityCredential", &workload), "WorkloadIdentityCredential");
    assert_eq!(choose("EnvironmentCredential", &principal), "ClientSecretCredential");
    assert_eq!(choose("AzureCliCredential", &[]), "AzureCliCredential");
    assert_eq!(choose("AzureDeveloperCliCredential", &[]), "AzureDeveloperCliCredential");
    assert_eq!(choose("Dev", &[]), "DeveloperToolsCredential");
    assert_eq!(choose("prod", &[]), "ManagedIdentityCredential");
    assert_eq!(choose("prod", &workload), "WorkloadIdentityCredential");
    assert_eq!(choose("PROD", &principal), "ClientSecretCredential");
    let v = "AZURE_TOKEN_CREDENTIALS";
    one(hosted(), &[(v, "VisualStudioCredential")], v, "must be one of ManagedIdentityCredential, ");
    one(local(), &[(v, "magic")], v, "AzureCliCredential");
}

#[test]
fn a_credential_lists_what_it_lacks_only_when_it_is_needed() {
    for (choice, third) in
        [("EnvironmentCredential", "AZURE_CLIENT_SECRET"), ("WorkloadIdentityCredential", "AZURE_FEDERATED_TOKEN_FILE")]
    {
        let changes = [("AZURE_TOKEN_CREDENTIALS", choice)];
        let named: Vec<_> = bad(hosted(), &changes).iter().map(|p| p.0).collect();
        assert_eq!(named, ["AZURE_CLIENT_ID", "AZURE_TENANT_ID", third]);
        good(local(), &changes);
    }
    one(hosted(), &[("AZURE_CLIENT_ID", "a b")], "AZURE_CLIENT_ID", "letters, digits");
    let cli = [("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential"), ("AZURE_TENANT_ID", "a/b")];
    one(hosted(), &cli, "AZURE_TENANT_ID", "letters, digits");
    good(local(), &cli);
}

#[test]
fn the_credential_is_built_once_and_shared() {
    for choice in ["AzureCliCredential", "AzureDeveloperCliCredential", "dev", "EnvironmentCredential"] {
        let config = good(
            hosted(),
            &[
                ("AZURE_TOKEN_CREDENTIALS", choice),
                ("AZURE_TENANT_ID", GUID),
                ("AZURE_CLIENT_ID", GUID),
                ("AZURE_CLIENT_SECRET", "s"),
            ],
        );
        let clone = config.clone();
        let (a, b) = (config.token_credential().unwrap(), clone.token_credential().unwrap());
        assert!(Arc::ptr_eq(&a, &b), "{choice}");
    }
}

#[test]
fn a_credential_that_cannot_be_built_is_a_problem() {
    let config = good(
        hosted(),
        &[
            ("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential"),
            ("AZURE_TENANT_ID", GUID),
            ("AZURE_CLIENT_ID", GUID),
            ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/token-mark"),
        ],
    );
    let error = config.token_credential().unwrap_err();
    assert_eq!(error.problems()[0].variable, "AZURE_FEDERATED_TOKEN_FILE");
    assert!(!error.to_string().contains("mark"));
    let error = good(local(), &[]).token_credential().unwrap_err();
    assert_eq!(error.problems()[0].variable, "AZURE_TOKEN_CREDENTIALS");
}

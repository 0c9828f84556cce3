// The identity that the application runs as. Who may use it is the business of whoever runs the application: assign it to the
// container app or virtual machine, or federate it with a Kubernetes service account.

param name string
param location string
param tags object

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
  tags: tags
}

output principalId string = identity.properties.principalId
output clientId string = identity.properties.clientId

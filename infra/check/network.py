"""Who reaches the services: firewalls, private endpoints, private DNS."""

from expect import Expect
from functions import kind_of
from tables import COSMOS, ENDPOINT, ENDPOINTS, STORAGE, VAULT, ZONE


def firewalls(e: Expect) -> None:
    cosmos, storage, vault = (e.one(kind).body["properties"] for kind in (COSMOS, STORAGE, VAULT))
    shut = [properties["publicNetworkAccess"].lower() == "disabled" for properties in (cosmos, storage, vault)]
    if all(shut):
        endpoints(e)
    else:
        e.expect(not any(shut), "some services are shut, others are not")
        e.expect(not e.all(ENDPOINT), "private endpoints beside public access")
        e.expect(cosmos["isVirtualNetworkFilterEnabled"] or bool(cosmos["ipRules"]), "Cosmos DB is open to everybody: without a rule it does not deny")
        e.expect(cosmos["isVirtualNetworkFilterEnabled"] == bool(cosmos["virtualNetworkRules"]), "the subnets of Cosmos DB are not in force")
    e.expect(e.environment != "prod" or all(shut), "production is reachable from outside")


def endpoints(e: Expect) -> None:
    """One for each service, in the zone of that service, in the subnet that was asked for."""
    network = e.parameters.get("network", e.parameters)
    hub = network.get("dnsResourceGroupId")
    subnet = network["subnetId"]
    # Ids that are given count like what is deployed.
    targets = e.ids | {value for value in e.parameters.values() if isinstance(value, str)}
    groups, used = [], set()
    for endpoint in e.all(ENDPOINT):
        properties = endpoint.body["properties"]
        connection = properties["privateLinkServiceConnections"][0]["properties"]
        group, target = connection["groupIds"][0], connection["privateLinkServiceId"]
        groups.append(group)
        kind, zone = ENDPOINTS.get(group, ("", ""))
        e.expect(kind_of(target) == kind and target in targets, f"the private endpoint for {group} leads to {target}")
        e.expect(properties["subnet"]["id"] == subnet, f"the private endpoint for {group} is in another subnet")
        zone_groups = e.of(endpoint, f"{ENDPOINT}/privateDnsZoneGroups")
        configs = [config["properties"]["privateDnsZoneId"] for one in zone_groups for config in one.body["properties"]["privateDnsZoneConfigs"]]
        e.expect([config.rsplit("/", 1)[-1] for config in configs] == [zone], f"the name of {group} is in {configs}, not in {zone}")
        used.update(configs)
    e.expect(sorted(groups) == sorted(ENDPOINTS), f"private endpoints for {sorted(groups)}")
    zones = {zone.id for zone in e.all(ZONE)}
    e.expect(all(zone.startswith(f"{hub}/providers/{ZONE}/") for zone in used) if hub else used <= zones, "private endpoints without their DNS zones")
    e.expect(zones == (set() if hub else used), "DNS zones that no private endpoint uses")
    for zone in e.all(ZONE):
        networks = [link.body["properties"]["virtualNetwork"]["id"] for link in e.of(zone, f"{ZONE}/virtualNetworkLinks")]
        e.expect(networks == [subnet.split("/subnets/")[0]], f"the DNS zone {zone.name} is linked to {networks}")

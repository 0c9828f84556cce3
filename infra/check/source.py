"""What the code says of the services, read from the text of src/azure."""

import dataclasses
import pathlib
import re

from syntax import Problem


@dataclasses.dataclass
class Code:
    """What src/azure says, read from its text."""

    partition_key: str
    ttl: int
    included: list
    excluded: list
    tables: list
    containers: list
    queries: dict  # text -> paths
    variables: list
    secrets: list


def rust_list(text: str, name: str) -> list[str]:
    body = re.search(rf"const {name}: &\[&str\] =\s*&\[(.*?)\];", text, re.DOTALL).group(1)
    constants = dict(re.findall(r'const (\w+): &str = "([^"]*)";', text))
    return [quoted or constants[word] for quoted, word in re.findall(r'"([^"]*)"|(\w+)', body)]


def read_code(root: pathlib.Path) -> Code:
    names = (root / "src/azure/names.rs").read_text(encoding="utf-8")
    queries = (root / "src/azure/cosmos/queries.rs").read_text(encoding="utf-8")
    variables = (root / "src/azure/config/vars.rs").read_text(encoding="utf-8")
    texts = dict(re.findall(r'const (\w+): &str = "([^"]*)";', queries))
    indexed = re.search(r"const INDEXED:.*?= \[(.*?)\];", queries, re.DOTALL).group(1)
    paths = {texts[name]: re.findall(r'"([^"]+)"', list_) for name, list_ in re.findall(r"\((\w+), &\[(.*?)\]\)", indexed)}
    if set(paths) != set(texts.values()):
        raise Problem("src/azure/cosmos/queries.rs: a query is not in INDEXED")
    constants = dict(re.findall(r'const (\w+): &str = "([^"]*)";', variables))
    return Code(
        partition_key=re.search(r'PARTITION_KEY_PATH: &str = "([^"]+)"', names).group(1),
        ttl=int(re.search(r"DEFAULT_TTL_SECONDS: i32 = (-?\d+);", names).group(1)),
        included=rust_list(names, "INDEXING_INCLUDED_PATHS"),
        excluded=rust_list(names, "INDEXING_EXCLUDED_PATHS"),
        tables=rust_list(names, "TABLES"),
        containers=rust_list(names, "BLOB_CONTAINERS"),
        queries=paths,
        variables=list(constants.values()),
        secrets=[constants[name] for name in ("COSMOS_KEY", "CONNECTION_STRING", "SAS_TOKEN", "CLIENT_SECRET", "ALLOW_KEYS")],
    )

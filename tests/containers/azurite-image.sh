#!/usr/bin/env bash
# Makes an image of the locked Azurite without a registry and prints its name. It has node, the libraries that node loads, and node_modules;
# the command `azurite` is that of the public image. Needs Linux, node, npm, GNU tar, flock and a Docker engine.
set -euo pipefail

folder=${OPENJIBO_AZURITE_DIR:-$(cd "$(dirname "$0")/../support/azurite" && pwd)}
[ "$(uname)" = Linux ] || { echo "azurite-image.sh: it copies this machine's node, which must be a Linux one" >&2; exit 1; }

version=$(node -p "require('$folder/package-lock.json').packages['node_modules/azurite'].version")
lock=$(sha256sum <"$folder/package-lock.json" | cut -d' ' -f1)
image=openjibo/azurite:$version-$(printf '%s\n' "$lock" "$(node --version)" | cat - "$0" | sha256sum | cut -c1-12)
if docker image inspect "$image" >/dev/null 2>&1; then
    echo "$image"
    exit
fi

# The same install, stamp and lock as those of the crate's emulators.
(
    flock 9
    if [ "$(cat "$folder/node_modules/.openjibo-lock-sha256" 2>/dev/null)" != "$lock" ]; then
        cd "$folder"
        npm ci --engine-strict=false --no-audit --no-fund --ignore-scripts --prefer-offline >&2
        printf %s "$lock" >node_modules/.openjibo-lock-sha256
    fi
) 9>>"$folder/.install.lock"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{etc,tmp,usr/local/bin,opt/azurite}
chmod 1777 "$root/tmp"
node=$(node -p process.execPath)
cp "$node" "$root/usr/local/bin/node"
ldd "$node" | grep -o '/[^ ]*' | sort -u | xargs -I{} cp --dereference --parents {} "$root"
echo 'root:x:0:0:root:/tmp:/usr/local/bin/node' >"$root/etc/passwd"
cat >"$root/usr/local/bin/azurite" <<'EOF'
#!/usr/local/bin/node
require("/opt/azurite/node_modules/azurite/dist/src/azurite.js");
EOF
chmod +x "$root/usr/local/bin/azurite"

tar -c --owner=0 --group=0 -C "$root" . -C "$folder" --exclude=.bin --exclude='*.map' \
    --transform='flags=r;s,^node_modules,opt/azurite/node_modules,' node_modules |
    docker import --change 'CMD ["azurite"]' --change 'ENV PATH=/usr/local/bin' --change 'EXPOSE 10000 10001 10002' - "$image" >&2
echo "$image"

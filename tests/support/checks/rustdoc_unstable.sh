#!/bin/sh
# The stable rustdoc with its unstable options allowed: RUSTC_BOOTSTRAP in cargo's own environment would rebuild every dependency.
RUSTC_BOOTSTRAP=1 exec rustdoc "$@"

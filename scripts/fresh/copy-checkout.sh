#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies the project FROM TO an empty folder: `head`, its last commit, or `checkout`, that with all changes
# and new files but those that git ignores. Without git, or its repository, all but what is installed and built.
set -euo pipefail
kind=$1
from=$2
to=$3
cd "$from"

if ! git rev-parse --git-dir >/dev/null 2>&1; then
  [ "$kind" = checkout ] || { echo "fresh-machine: $from is no git repository" >&2; exit 1; }
  tar -cf - --exclude=./node_modules --exclude=./build . | tar -xf - -C "$to" --no-same-owner
  exit 0
fi
git clone --quiet --no-hardlinks --single-branch . "$to"
if [ "$kind" = checkout ]; then
  git ls-files -z --deleted | (cd "$to" && xargs -0r rm -f --)
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
      if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
    done | tar -cf - --null --no-recursion -T - | tar -xf - -C "$to" --no-same-owner
fi
# A new machine's clone does not know where this one lies.
git -C "$to" remote remove origin

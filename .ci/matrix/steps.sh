# What the rows are made of. ROW is the row's own folder, WORK that of the matrix, PROJECT this repository; TARBALL is the
# packed package, DATABASE_URL an empty database of the row's own.
set -euo pipefail
cd "$ROW"

new() { # major: as its CLI makes it, with what that installs
  npx --yes "@nestjs/cli@$1" new app --directory . --skip-git --package-manager npm --language TS </dev/null
}

sources() { # row: its files
  (cd "$WORK/$1" && tar c --exclude=./node_modules --exclude=./dist .) | tar x
}

share() { # row: its files, and its node_modules, to which nothing may be added
  sources "$1"
  ln -s "$WORK/$1/node_modules" node_modules
}

copy() { # row: its files, and its node_modules, to which something may be added
  sources "$1"
  cp -al "$WORK/$1/node_modules" node_modules
  # The only file that npm writes in place.
  cp --remove-destination "$WORK/$1/node_modules/.package-lock.json" node_modules/
}

application() { # our application, in place of the CLI's
  cp -r "$PROJECT/.ci/matrix/application/." .
  without_endings
}

without_endings() { # a CommonJS application writes its imports without them
  if [ "$(npm pkg get type)" != '"module"' ]; then
    find src test -name '*.ts' -exec sed -i -E "s#(from '(\.|supertest/).*)\.js'#\1'#" {} +
  fi
}

fastify() {
  cp "$PROJECT/.ci/matrix/fastify/main.ts" src/
  without_endings
}

log_in() { node "$PROJECT/.ci/matrix/log-in.mjs" "$@"; }

alone() { # package or scope...: the built application with nothing but these beside it
  mkdir -p alone/node_modules
  cp -r dist/. alone
  for package in "$@"; do cp -r "node_modules/$package" alone/node_modules/; done
  if [ "$(npm pkg get type)" = '"module"' ]; then echo '{ "type": "module" }' >alone/package.json; fi
}

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
    find src test apps libs -name '*.ts' -exec sed -i -E "s#(from '(\.|supertest/).*)\.js'#\1'#" {} + 2>/dev/null || true
  fi
}

fastify() {
  cp "$PROJECT/.ci/matrix/fastify/main.ts" src/
  without_endings
}

log_in() { node "$PROJECT/.ci/matrix/log-in.mjs" "$@"; }

give_driver() { # to TypeORM, which looks for it in a way that no bundler sees
  sed -i -e "1i import pg from 'pg';" -e "s/type: 'postgres',/type: 'postgres', driver: pg,/" src/app.module.ts
}

alone() { # package or scope...: the built application with nothing but these beside it
  mkdir -p alone/node_modules
  cp -r dist/. alone
  for package in "$@"; do cp -r "node_modules/$package" alone/node_modules/; done
  if [ "$(npm pkg get type)" = '"module"' ]; then echo '{ "type": "module" }' >alone/package.json; fi
}

resolution() { # name, module, moduleResolution: a configuration of the type checks
  cat >"tsconfig.$1.json" <<JSON
{
  "compilerOptions": {
    "module": "$2", "moduleResolution": "$3", "target": "ES2022", "lib": ["ES2023"], "types": ["node"], "strict": true,
    "skipLibCheck": false, "esModuleInterop": true, "experimentalDecorators": true, "emitDecoratorMetadata": true,
    "rootDir": ".", "outDir": "out-$1"
  },
  "include": ["src/main.ts", "types/*.ts"]
}
JSON
}

consumer() { # one of consumers/, [install or oldest]: the package in a program that looks at more than a login
  cp -r "$PROJECT/.ci/matrix/consumers/$1/." .
  case ${2:-} in
    install) npm install --no-save "$TARBALL" ;;
    # Some of the first releases name peers that they do not have.
    oldest) mv oldest.json package.json; npm install --no-save --legacy-peer-deps "$TARBALL" ;;
  esac
  test ! -e node_modules/nestjs-latchkey/src
  if [ -f tsconfig.json ]; then npx tsc; fi
  timeout 120 node "$(node -p "require('./package.json').main")"
  # The command that it brings, which the application's own copy of everything runs.
  local command=node_modules/.bin/nestjs-latchkey
  test "$(head -n 1 "$command")" = '#!/usr/bin/env node' && test -x "$command"
  "$command" secret | grep -qE '^[A-Za-z0-9_-]{64}$'
  echo "export default { secrets: ['$(npx --no-install latchkey secret)'], routes: { path: 'auth' } };" >auth.options.mjs
  # Without the row's database, of which the doctor would ask for its tables.
  env -u DATABASE_URL npx --no-install nestjs-latchkey doctor --config auth.options.mjs | grep -q '^0 failed, 0 warnings\.$'
  # The first program of the README is what a newcomer copies: it compiles against what we publish.
  if [ -f tsconfig.json ]; then
    cp "$PROJECT/test/app/app.module.ts" .
    npx tsc
  fi
}

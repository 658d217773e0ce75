import type { TableRow } from './completion-table.js';
import { functionName } from './function-name.js';

/** The completion script of zsh 5: sourced after compinit, or a file named after the function in a folder of fpath. */
export function zshCompletion(program: string, table: readonly TableRow[]): string {
  const name = functionName(program);
  const cases = table.map((row) => `    (${row.keys.map(quoted).join('|')}) ${valueOf(row)} ;;`);
  return `#compdef ${program}
# zsh completion of ${program}, made by: ${program} completion zsh
${name}_table() {
  found='' offers=()
  case "$1" in
${cases.join('\n')}
  esac
}

${name}() {
  local at='' expected='' found='' word current="$PREFIX"
  local -i given=0
  local -a offers
  for word in "\${(@Q)words[2,CURRENT-1]}"; do
    if [[ -n "$expected" ]]; then
      expected=''
      continue
    fi
    ${name}_table "$at$word"
    case "$found" in
      (command) at+="$word " given=0 ;;
      (?*) expected="$found" ;;
      (*) if [[ "$word" != -* ]]; then (( given += 1 )); fi ;;
    esac
  done
  offers=()
  if [[ -z "$expected" && "$current" == --*=* ]]; then
    ${name}_table "$at\${current%%=*}"
    expected="\${found:-anything}"
    compset -P '*='
  fi
  if [[ -z "$expected" && "$current" != -* ]]; then
    ${name}_table "$at#$((given + 1))"
    if [[ -z "$found" ]]; then ${name}_table "$at#rest"; fi
    expected="$found"
    if [[ -z "$expected" && $given -eq 0 ]]; then ${name}_table "$at#words"; fi
  fi
  if [[ -z "$expected" && \${#offers} -eq 0 ]]; then ${name}_table "$at#flags"; fi
  case "$expected" in
    (words*) compadd -- \${(s: :)\${expected#words }} ;;
    (names*)
      offers=(\${(f)"$("$words[1]" names "\${expected#names }" -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)"})
      compadd -S '' -- \${(M)offers:#*/}
      compadd -- \${offers:#*/}
      ;;
    (files) _files ;;
    (folders) _files -/ ;;
    ('') _describe -t words 'word' offers ;;
  esac
}

if [[ "\${funcstack[1]}" == ${name} ]]; then ${name} "$@"; else compdef ${name} ${program}; fi
`;
}

function valueOf(row: TableRow): string {
  if ('text' in row) return `found=${quoted(row.text)}`;
  const offers = row.offers.map(({ word, description }) =>
    quoted(`${word.replaceAll(':', '\\:')}:${description}`),
  );
  return `offers=(${offers.join(' ')})`;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

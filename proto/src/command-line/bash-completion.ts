import type { TableRow } from './completion-table.js';
import { functionName } from './function-name.js';

/** The completion script of bash 3.2 and later. */
export function bashCompletion(program: string, table: readonly TableRow[]): string {
  const name = functionName(program);
  const cases = table.map((row) => `    ${row.keys.map(quoted).join('|')}) found=${quoted(valueOf(row))} ;;`);
  return `# bash completion of ${program}, made by: ${program} completion bash
${name}_table() {
  case "$1" in
${cases.join('\n')}
    *) found='' ;;
  esac
}

${name}() {
  local line="\${COMP_LINE:0:COMP_POINT}" at='' expected='' found='' given=0 glued='' word current cut last
  local -a words
  read -ra words <<<"$line"
  if [[ "$line" == *[[:blank:]] ]]; then words+=(''); fi
  last=$((\${#words[@]} - 1))
  current="\${words[last]}"
  for word in "\${words[@]:1:last-1}"; do
    if [[ -n "$expected" ]]; then
      expected=''
      continue
    fi
    ${name}_table "$at$word"
    case "$found" in
      command) at+="$word " given=0 ;;
      ?*) expected="$found" ;;
      *) if [[ "$word" != -* ]]; then given=$((given + 1)); fi ;;
    esac
  done
  if [[ -z "$expected" && "$current" == --*=* ]]; then
    ${name}_table "$at\${current%%=*}"
    expected="\${found:-anything}" glued="\${current%%=*}=" current="\${current#*=}"
  fi
  if [[ -z "$expected" && "$current" != -* ]]; then
    ${name}_table "$at#$((given + 1))"
    if [[ -z "$found" ]]; then ${name}_table "$at#rest"; fi
    expected="$found"
    if [[ -z "$expected" && $given -eq 0 ]]; then
      ${name}_table "$at#words"
      expected="\${found:+words $found}"
    fi
  fi
  if [[ -z "$expected" ]]; then
    ${name}_table "$at#flags"
    expected="words $found"
  fi
  COMPREPLY=()
  # bash takes a word apart at = @ and :, and replaces the last part only.
  cut="$glued$current"
  cut="\${cut%"\${cut##*[=@:]}"}"
  while IFS= read -r word; do
    word="$glued$word"
    COMPREPLY+=("\${word#"$cut"}")
  done < <(
    case "$expected" in
      words*) compgen -W "\${expected#words }" -- "$current" ;;
      # Names come from elsewhere: compgen -W would expand what stands in them.
      names*)
        while IFS= read -r word; do
          if [[ "$word" == "$current"* ]]; then printf '%s\\n' "$word"; fi
        done < <("\${words[0]}" names "\${expected#names }" -- "\${words[@]:1}" 2>/dev/null)
        ;;
      files) compgen -f -- "$current" ;;
      folders) compgen -d -- "$current" ;;
    esac
  )
  case "$expected" in
    files | folders) compopt -o filenames 2>/dev/null ;;
    *) if [[ "\${COMPREPLY[0]-}" == */ ]]; then compopt -o nospace 2>/dev/null; fi ;;
  esac
  return 0
}

complete -F ${name} ${program}
`;
}

const valueOf = (row: TableRow): string =>
  'text' in row ? row.text : row.offers.map(({ word }) => word).join(' ');

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

import type { TableRow } from './completion-table.js';
import { functionName } from './function-name.js';

/** The completion script of fish 3. */
export function fishCompletion(program: string, table: readonly TableRow[]): string {
  const name = `_${functionName(program)}`;
  const cases = table.flatMap((row) => [
    `    case ${row.keys.map(quoted).join(' ')}`,
    `      ${printing(row)}`,
  ]);
  return `# fish completion of ${program}, made by: ${program} completion fish
function ${name}_table
  switch $argv[1]
${cases.join('\n')}
  end
end

function ${name}
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l at ''
  set -l expected ''
  set -l given 0
  set -l glued ''
  for word in $words[2..-1]
    if test -n "$expected"
      set expected ''
      continue
    end
    set -l found (${name}_table "$at$word")
    switch "$found"
      case command
        set at "$at$word "
        set given 0
      case ''
        string match -q -- '-*' $word; or set given (math $given + 1)
      case '*'
        set expected $found
    end
  end
  if test -z "$expected"; and string match -q -- '--*=*' $current
    set -l parts (string split -m 1 = -- $current)
    set expected (${name}_table "$at$parts[1]")
    test -n "$expected"; or set expected anything
    set glued "$parts[1]="
    set current $parts[2]
  end
  set -l offers
  if test -z "$expected"; and not string match -q -- '-*' $current
    set expected (${name}_table "$at#"(math $given + 1))
    test -n "$expected"; or set expected (${name}_table "$at#rest")
    if test -z "$expected"; and test $given -eq 0
      set offers (${name}_table "$at#words")
    end
  end
  if test -z "$expected"; and test (count $offers) -eq 0
    set offers (${name}_table "$at#flags")
  end
  switch "$expected"
    case 'words *'
      set offers (string split ' ' -- (string replace 'words ' '' -- $expected))
    case 'names *'
      set -l source (string replace 'names ' '' -- $expected)
      set offers ($words[1] names $source -- $words[2..-1] "$current" 2>/dev/null)
    case files
      set offers (__fish_complete_path "$current")
    case folders
      set offers (__fish_complete_directories "$current" '')
  end
  for offer in $offers
    printf '%s%s\\n' $glued $offer
  end
end

complete -c ${program} -f -a '(${name})'
`;
}

function printing(row: TableRow): string {
  if ('text' in row) return `echo ${quoted(row.text)}`;
  const lines = row.offers.map(({ word, description }) => quoted(`${word}\t${description}`));
  return `printf '%s\\n' ${lines.join(' ')}`;
}

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

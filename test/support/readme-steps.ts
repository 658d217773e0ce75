/** A file or a command of a README, in the order in which a reader meets them. */
export type ReadmeStep =
  | { readonly kind: 'file'; readonly name: string; readonly append: boolean; readonly text: string }
  | {
      readonly kind: 'command';
      readonly line: string;
      /** A process of a terminal of its own: its comment says "leave it running". */
      readonly stays: boolean;
    };

const BLOCK = /^```(sh|yaml|json)\n([^]*?)^```$/gm;

/**
 * The steps of one section of a Markdown text. The first line of a yaml block names its file, "# north/agent.yaml", and whether
 * it is put "at its end". Throws where a block does not say which file it is.
 */
export function readmeSteps(text: string, heading: string): readonly ReadmeStep[] {
  const begin = text.indexOf(`\n## ${heading}\n`);
  if (begin < 0) throw new Error(`no section ${heading}`);
  const end = text.indexOf('\n## ', begin + 1);
  return [...text.slice(begin, end).matchAll(BLOCK)].flatMap(([, language, content = '']) =>
    language === 'sh' ? commandsOf(content) : [fileOf(content)],
  );
}

function fileOf(content: string): ReadmeStep {
  const [, name, place] = /^# ([\w./-]+\.(?:yaml|json))(, at its end)?\n/.exec(content) ?? [];
  if (name === undefined) throw new Error(`a block names no file: ${content.slice(0, 60)}`);
  return { kind: 'file', name, append: place !== undefined, text: content };
}

const commandsOf = (content: string): ReadmeStep[] =>
  content
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => ({ kind: 'command', line, stays: /# .*leave it running/.test(line) }));

/** Where commands print. Results go to `out`, everything else (progress, hints) to `note`. */
export interface Terminal {
  /** True where `note` is a terminal: bars are drawn only there. */
  readonly interactive: boolean;
  out(line: string): void;
  note(line: string): void;
}

/** The process's own standard output and error. */
export function processTerminal(): Terminal {
  return {
    interactive: process.stderr.isTTY,
    out: (line) => void process.stdout.write(`${line}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
  };
}

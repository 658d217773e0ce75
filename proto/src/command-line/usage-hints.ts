/** The parts of commander's Command that are needed here. */
interface HintedCommand {
  name(): string;
  readonly commands: readonly HintedCommand[];
  showHelpAfterError(text: string): unknown;
}

/** Has every command end a complaint about its usage with the way to its own help. Call it when all are added. */
export function hintUsage(command: HintedCommand, above = ''): void {
  const path = `${above}${command.name()}`;
  command.showHelpAfterError(`  try: ${path} --help`);
  for (const child of command.commands) hintUsage(child, `${path} `);
}

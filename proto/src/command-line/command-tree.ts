/** What stands where a value is typed. */
export type Expectation =
  | { readonly type: 'Words'; readonly words: readonly string[] }
  | { readonly type: 'Files' }
  | { readonly type: 'Folders' }
  /** Names that the command itself looks up, by its hidden command `names SOURCE -- WORDS`. */
  | { readonly type: 'Names'; readonly source: string }
  | { readonly type: 'Anything' };

/** What the placeholders of a command mean, beside `file`, `dir` and `folder`: { site: { type: 'Names', … } }. */
export type Placeholders = Readonly<Record<string, Expectation>>;

export interface OptionNode {
  /** "-o" and "--output". */
  readonly flags: readonly string[];
  readonly description: string;
  /** Absent where the option takes no value. */
  readonly value?: Expectation;
}

export interface ArgumentNode {
  readonly expectation: Expectation;
  readonly variadic: boolean;
}

export interface CommandNode {
  readonly name: string;
  readonly description: string;
  /** Its own, and those of the commands above it. */
  readonly options: readonly OptionNode[];
  readonly arguments: readonly ArgumentNode[];
  readonly commands: readonly CommandNode[];
}

/** The parts of commander's Option, Argument and Command that are read: the contract depends on no command line. */
interface OptionLike {
  readonly long?: string | undefined;
  readonly short?: string | undefined;
  readonly flags: string;
  readonly description: string;
  readonly required: boolean;
  readonly optional: boolean;
  readonly hidden: boolean;
  readonly argChoices?: readonly string[] | undefined;
}

interface ArgumentLike {
  name(): string;
  readonly variadic: boolean;
  readonly argChoices?: readonly string[] | undefined;
}

export interface CommandLike {
  name(): string;
  description(): string;
  readonly registeredArguments: readonly ArgumentLike[];
  createHelp(): {
    visibleCommands(command: CommandLike): readonly CommandLike[];
    visibleOptions(command: CommandLike): readonly OptionLike[];
  };
}

const EVERYWHERE: Placeholders = {
  file: { type: 'Files' },
  dir: { type: 'Folders' },
  folder: { type: 'Folders' },
};

/** The commands, options and arguments of a program as its own help shows them. */
export function readCommandTree(program: CommandLike, placeholders: Placeholders): CommandNode {
  return readCommand(program, { ...EVERYWHERE, ...placeholders }, []);
}

function readCommand(
  command: CommandLike,
  placeholders: Placeholders,
  above: readonly OptionNode[],
): CommandNode {
  const help = command.createHelp();
  const own = help.visibleOptions(command).map((option) => readOption(option, placeholders));
  const known = new Set(own.flatMap(({ flags }) => flags));
  const inherited = above.filter(({ flags }) => !flags.some((flag) => known.has(flag)));
  const options = [...own, ...inherited];
  const passedOn = options.filter(({ flags }) => !flags.includes('--version'));
  return {
    name: command.name(),
    description: command.description(),
    options,
    arguments: command.registeredArguments.map((argument) => ({
      expectation: expectationOf(argument.name(), argument.argChoices, placeholders),
      variadic: argument.variadic,
    })),
    commands: help.visibleCommands(command).map((child) => readCommand(child, placeholders, passedOn)),
  };
}

function readOption(option: OptionLike, placeholders: Placeholders): OptionNode {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  const { description } = option;
  if (!option.required && !option.optional) return { flags, description };
  const placeholder = /[<[](.+?)(?:\.\.\.)?[\]>]/.exec(option.flags)?.[1] ?? '';
  return { flags, description, value: expectationOf(placeholder, option.argChoices, placeholders) };
}

function expectationOf(
  placeholder: string,
  choices: readonly string[] | undefined,
  placeholders: Placeholders,
): Expectation {
  if (choices !== undefined) return { type: 'Words', words: choices };
  return placeholders[placeholder] ?? { type: 'Anything' };
}

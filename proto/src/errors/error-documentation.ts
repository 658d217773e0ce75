import { ERROR_CODES, ERROR_TABLE, type ErrorCode } from './error-table.js';

/** Kinds of causes by the tens of their exit codes. */
const GROUPS: readonly (readonly [tens: number, title: string])[] = [
  [1, 'What was asked is wrong'],
  [2, 'Who asked'],
  [3, 'An update was refused'],
  [4, 'The site said no'],
  [5, 'Rounds and jobs'],
  [6, 'Limits and versions'],
  [7, 'The machine and the network'],
  [9, 'Tributary itself'],
];

const INTRODUCTION = `# Errors

Generated from \`src/errors/error-table.ts\` by \`npm run document -w proto\` after a build; a test keeps the two in
step. A code is never reused or renamed. *Repeat* says whether the same call may succeed later without a change. Commands
end with the exit code; 0 is success, 1 is left to Node.js itself.`;

/** The text of proto/ERRORS.md. */
export function errorDocumentation(): string {
  const sections = GROUPS.map(([tens, title]) => [`## ${title}`, '', ...table(codesOf(tens))].join('\n'));
  return `${[INTRODUCTION, ...sections].join('\n\n')}\n`;
}

function codesOf(tens: number): readonly ErrorCode[] {
  return ERROR_CODES.filter((code) => Math.floor(ERROR_TABLE[code].exit / 10) === tens);
}

function table(codes: readonly ErrorCode[]): string[] {
  const rows = codes.map((code) => {
    const { grpc, http, exit, retryable, documentation } = ERROR_TABLE[code];
    const cells = [
      `\`${code}\``,
      grpc,
      http,
      exit,
      retryable ? 'yes' : 'no',
      documentation.replaceAll('|', '\\|'),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| code | gRPC | HTTP | exit | repeat | what happened, what to do |',
    '|---|---|---|---|---|---|',
    ...rows,
  ];
}

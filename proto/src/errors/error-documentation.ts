import { explanationLines } from './error-explanation.js';
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
  [8, 'Membership'],
  [9, 'Tributary itself'],
];

const INTRODUCTION = `# Errors

Commands end with the exit code; 0 is success, 1 is left to Node.js itself. Every command prints the section of a code,
or of an exit code, without a network: \`tributary explain STORE_LOCKED\`, \`tributary-agent explain 73\`. *Repeat* says whether
the same may succeed later without a change. A code is never reused or renamed.

Generated from \`src/errors\` by \`npm run document -w proto\` after a build; a test keeps the two in step.`;

/** The text of proto/ERRORS.md: an index by exit code, then a section for each code. */
export function errorDocumentation(): string {
  const sections = GROUPS.flatMap(([tens, title]) => [`## ${title}`, ...codesOf(tens).map(section)]);
  return `${[INTRODUCTION, index(), ...sections].join('\n\n')}\n`;
}

const codesOf = (tens: number): readonly ErrorCode[] =>
  ERROR_CODES.filter((code) => Math.floor(ERROR_TABLE[code].exit / 10) === tens);

function index(): string {
  const rows = GROUPS.flatMap(([tens]) =>
    codesOf(tens).map((code) => {
      const { grpc, http, exit, retryable } = ERROR_TABLE[code];
      const repeat = retryable ? 'yes' : 'no';
      return `| ${String(exit)} | [\`${code}\`](#${code.toLowerCase()}) | ${grpc} | ${String(http)} | ${repeat} |`;
    }),
  );
  return ['| exit | code | gRPC | HTTP | repeat |', '|---|---|---|---|---|', ...rows].join('\n');
}

const section = (code: ErrorCode): string => [`### ${code}`, '', ...explanationLines(code)].join('\n');

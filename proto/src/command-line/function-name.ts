/** Name of a program's functions in a script: "_tributary_agent". */
export const functionName = (program: string): string => `_${program.replaceAll('-', '_')}`;

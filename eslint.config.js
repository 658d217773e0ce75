import js from '@eslint/js';
import tseslint from 'typescript-eslint';

/**
 * The import boundaries of the house (see the README of each folder). In flat config a later rule for the same file
 * replaces an earlier one, so each folder names its whole list; test/unit/boundaries.test.ts lints one forbidden
 * import per folder.
 */
const pattern = (regex, message) => ({ regex, message });
const noTest = pattern('(^|/)test/', 'Product code never imports test code.');
const noInternals = pattern('^@tributary/[a-z-]+/internal/', 'The internal door is for tests only.');
const noCoordinator = pattern(
  '^@tributary/coordinator|/coordinator/',
  'Agents and the contract never import the coordinator.',
);
const noAgent = pattern(
  '^@tributary/edge-agent|/edge-agent/',
  'The coordinator and the contract never import the agent.',
);
const onlyRelativeAndContract = pattern(
  '^(?!\\.{1,2}/)(?!@tributary/proto$)',
  'Domain code is pure: it imports its own folder, the types of ports.ts and @tributary/proto, nothing else.',
);
const noOuterLayers = pattern(
  '/(adapters|app|cli|gen|grpc)/|/(main|config)\\.js$',
  'Domain code does not know the layers around it.',
);
const noWiring = pattern('/(main|config)\\.js$', 'Only main.ts wires; pass what is needed.');

const noNodeDoor = pattern(
  '(^|/)node/|^node:fs|^@tributary/proto/node$',
  'The pure door touches no file: what does lies in proto/src/node, the door of the adapters.',
);

const imports = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] });

const pureGlobals = [
  'process',
  'console',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'crypto',
  'performance',
  'fetch',
  'globalThis',
];
const purity = {
  'no-restricted-globals': [
    'error',
    ...pureGlobals.map((name) => ({ name, message: 'Domain code is pure.' })),
  ],
  'no-restricted-properties': [
    'error',
    { object: 'Date', property: 'now', message: 'Time arrives in events.' },
    { object: 'Math', property: 'random', message: 'Randomness arrives in events.' },
  ],
  'no-restricted-syntax': [
    'error',
    { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: 'Time arrives in events.' },
    { selector: 'ImportExpression', message: 'Domain code loads nothing.' },
  ],
};

const onlyConfigReadsEnv = {
  'no-restricted-properties': [
    'error',
    { object: 'process', property: 'env', message: 'Only config.ts reads the environment.' },
  ],
};

export default tseslint.config(
  { ignores: ['**/dist/', '**/gen/', 'coverage/', 'node_modules/'] },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { ignoreVoid: false }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      'max-lines': ['error', 400],
      complexity: ['error', 12],
      eqeqeq: 'error',
    },
  },
  {
    files: ['proto/src/**/*.ts'],
    rules: { ...imports(noTest, noInternals, noCoordinator, noAgent, noNodeDoor), ...onlyConfigReadsEnv },
  },
  {
    files: ['proto/src/node/**/*.ts'],
    rules: imports(noTest, noInternals, noCoordinator, noAgent),
  },
  {
    files: ['coordinator/src/**/*.ts'],
    rules: { ...imports(noTest, noInternals, noAgent), ...onlyConfigReadsEnv },
  },
  {
    files: ['coordinator/src/app/**/*.ts', 'coordinator/src/adapters/**/*.ts'],
    rules: imports(noTest, noInternals, noAgent, noWiring),
  },
  {
    files: ['edge-agent/src/**/*.ts'],
    rules: { ...imports(noTest, noInternals, noCoordinator), ...onlyConfigReadsEnv },
  },
  {
    files: ['edge-agent/src/app/**/*.ts', 'edge-agent/src/adapters/**/*.ts'],
    rules: imports(noTest, noInternals, noCoordinator, noWiring),
  },
  {
    files: ['coordinator/src/domain/**/*.ts', 'edge-agent/src/domain/**/*.ts'],
    rules: { ...imports(noInternals, onlyRelativeAndContract, noOuterLayers), ...purity },
  },
  {
    files: ['coordinator/src/config.ts', 'edge-agent/src/config.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  { files: ['test/**/*.ts'], rules: { '@typescript-eslint/no-floating-promises': 'error' } },
  {
    files: ['**/*.js'],
    languageOptions: {
      globals: { process: 'readonly', Buffer: 'readonly', console: 'readonly', URL: 'readonly' },
    },
  },
  {
    files: ['deploy/charts/*/files/*.mjs'],
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', fetch: 'readonly', AbortSignal: 'readonly' },
    },
  },
);

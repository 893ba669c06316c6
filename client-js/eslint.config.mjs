// The style of the browser code: node_modules/.bin/eslint -c client-js/eslint.config.mjs client-js src/apex_rtm/demo
import js from '@eslint/js';

// Everything else of a browser is reached through the window that the file is given, and so can be another in a test.
const BROWSER_GLOBALS = ['self', 'globalThis', 'URL', 'URLSearchParams', 'TextDecoder'];
const NODE_GLOBALS = ['URL', 'Buffer', 'process', 'setImmediate', 'console', 'EventTarget', 'Event', 'atob',
  'structuredClone', 'AbortController'];

const rules = {
  ...js.configs.recommended.rules,
  complexity: ['error', 14],
  curly: ['error', 'multi-line'],
  eqeqeq: 'error',
  'max-len': ['error', { code: 120 }],
  'max-lines': ['error', 400],
  'max-lines-per-function': ['error', { max: 60, IIFEs: false }],
  'no-console': 'error',
  'no-empty': 'error',
  'no-eval': 'error',
  'no-implied-eval': 'error',
  'no-new-func': 'error',
  'no-restricted-properties': [
    'error',
    { property: 'innerHTML', message: 'Text is text: a message must never become markup.' },
    { property: 'outerHTML', message: 'Text is text: a message must never become markup.' },
    { property: 'insertAdjacentHTML', message: 'Text is text: a message must never become markup.' },
  ],
  'no-shadow': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
  'no-var': 'error',
  'prefer-const': 'error',
};

export default [
  {
    files: ['**/*.js'],
    languageOptions: {
      ecmaVersion: 2019,
      sourceType: 'script',
      globals: Object.fromEntries(BROWSER_GLOBALS.map((name) => [name, 'readonly'])),
    },
    rules,
  },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'module',
      globals: Object.fromEntries(NODE_GLOBALS.map((name) => [name, 'readonly'])),
    },
    rules: { ...rules, 'no-new-func': 'off', 'max-lines': ['error', 600], 'max-lines-per-function': 'off' },
  },
];

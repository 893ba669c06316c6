// JavaScript without what only people need: node client-js/minify.mjs < readable > small. `tools/plugins` calls it.

import { readFileSync } from 'node:fs';
import { minify } from 'terser';

// Names that begin with an underscore are this project's own and used inside one file only. What makes the text shorter
// and its gzip longer is off.
const OPTIONS = {
  ecma: 2019,
  compress: { passes: 3, unsafe_arrows: true, unsafe_methods: true, pure_getters: true, sequences: false, inline: 1 },
  mangle: { properties: { regex: /^_[a-z]/ } },
  format: { comments: false },
};

/** @param {string} source */
export async function minified(source) {
  const { code } = await minify(source, OPTIONS);
  return code + '\n';
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  process.stdout.write(await minified(readFileSync(0, 'utf8')));
}

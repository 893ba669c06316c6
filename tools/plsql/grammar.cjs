// Reads [{"id", "text"}, …] on stdin, parses each text with the published PL/SQL grammar and writes
// [{"id", "errors": [{"line", "column", "message"}]}, …] on stdout. One process for all texts: loading the parser takes longer
// than most units do.
'use strict';

// V8 compiles the generated parser's largest functions in the background for up to half a minute, and the process cannot end
// before it has; interpreted they cost milliseconds.
require('node:v8').setFlagsFromString('--max-optimized-bytecode-size=20000');

require('antlr4ts'); // first: antlr4ts-sql loads only after it
const { PredictionMode } = require('antlr4ts/atn/PredictionMode');
const { antlr4tsSQL, SQLDialect } = require('antlr4ts-sql');

/** Collects what lexer and parser complain about; the package's own listeners only print. */
class Collector {
  constructor() {
    this.errors = [];
  }

  syntaxError(recognizer, symbol, line, column, message) {
    // The parser lists every token it would have taken: thousands of characters that help nobody.
    this.errors.push({ line, column, message: message.replace(/ expecting .*/s, '') });
  }
}

function attempt(dialect, text, mode) {
  const collector = new Collector();
  const tokens = dialect.getTokens(text, [collector]);
  const parser = dialect.getParser(tokens, [collector]);
  parser.interpreter.setPredictionMode(mode);
  parser.sql_script();
  return collector.errors;
}

/** The fast mode can refuse valid code, never accept invalid code: its refusals are asked again in the exact mode. */
function errorsOf(dialect, text) {
  const quick = attempt(dialect, text, PredictionMode.SLL);
  return quick.length === 0 ? quick : attempt(dialect, text, PredictionMode.LL);
}

const chunks = [];
process.stdin.on('data', (chunk) => chunks.push(chunk));
process.stdin.on('end', () => {
  const dialect = new antlr4tsSQL(SQLDialect.PLSQL);
  const units = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  const answers = units.map(({ id, text }) => ({ id, errors: errorsOf(dialect, text) }));
  process.stdout.write(JSON.stringify(answers));
});

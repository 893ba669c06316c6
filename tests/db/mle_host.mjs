// Runs the source of an MLE module in Node.js, with what the database gives it and nothing else: the globals of ECMAScript
// and the module mle-js-fetch. Reads {"source", "calls": [[name, [arguments]], …]} on stdin and writes one {"value"} or
// {"error"} for each call on stdout.
//
//     node --experimental-vm-modules mle_host.mjs
//
// Not shown this way: type conversion at the call specification, promise handling of the database, wallet and ACL.
import vm from 'node:vm';

/** What fetch of MLE takes (mle-js-fetch, type declarations); another option would be ignored there, and is refused here. */
const OPTIONS = ['method', 'body', 'headers', 'credentials'];
/** What its Response has. */
const MEMBERS = ['status', 'ok', 'statusText', 'url', 'headers', 'text', 'json', 'arrayBuffer', 'clone'];

async function mleFetch(input, init = {}) {
  const unknown = Object.keys(init).filter((name) => !OPTIONS.includes(name));
  if (unknown.length > 0) {
    throw new TypeError(`fetch of MLE has no option ${unknown.join(', ')}`);
  }
  // RTM_TRANSPORT forbids redirects in the session, and fetch of MLE goes through the session's UTL_HTTP.
  const response = await fetch(input, { ...init, redirect: 'manual' });
  return new Proxy(response, {
    get(target, name) {
      if (!MEMBERS.includes(name) && name !== 'then') {
        throw new TypeError(`a Response of MLE has no ${String(name)}`);
      }
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function load(source) {
  const context = vm.createContext({});
  const module = new vm.SourceTextModule(source, { context, identifier: 'mle module' });
  await module.link((specifier) => {
    if (specifier !== 'mle-js-fetch') {
      throw new Error(`there is no module ${specifier}`);
    }
    const exported = new vm.SyntheticModule(
      ['fetch'],
      function setExports() {
        this.setExport('fetch', mleFetch);
        context.fetch = mleFetch; // a bare import puts it among the globals
      },
      { context },
    );
    return exported;
  });
  await module.evaluate();
  return module.namespace;
}

async function call(namespace, name, callArguments) {
  try {
    if (typeof namespace[name] !== 'function') {
      throw new TypeError(`${name} is not exported`);
    }
    return { value: (await namespace[name](...callArguments)) ?? null };
  } catch (error) {
    return { error: String(error.message) };
  }
}

const chunks = [];
for await (const chunk of process.stdin) {
  chunks.push(chunk);
}
const { source, calls } = JSON.parse(Buffer.concat(chunks).toString('utf8'));
try {
  const namespace = await load(source);
  const answers = [];
  for (const [name, callArguments] of calls) {
    answers.push(await call(namespace, name, callArguments));
  }
  process.stdout.write(JSON.stringify(answers));
} catch (error) {
  process.stderr.write(`the module does not load: ${error.message}\n`);
  process.exitCode = 1;
}

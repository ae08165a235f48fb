// The official TypeScript clients of the Model Context Protocol, driven over standard input.
//
//     node typescript.mjs <package> <revision> <url> [<key>]
//
// <package> is `sdk` (one package of client and server, revision 2025-11-25) or `client` (its successor, both
// revisions). Without a key the client's own OAuth lets it in: `{"open": …}` is where it sends its user, and it
// waits for the answer at an address of its own. Then one line is one tool's call, `{"name": …, "arguments": …}`,
// answered by the result or by `{"thrown": …}`; `{"expire": true}` makes the token worthless, so that the next
// call has to renew it. Both clients check what a tool answers against its output schema, and throw.

import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [packageName, revision, url, key] = process.argv.slice(2);

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

async function load() {
  if (packageName === "client") {
    return await import("@modelcontextprotocol/client");
  }
  return {
    ...(await import("@modelcontextprotocol/sdk/client/index.js")),
    ...(await import("@modelcontextprotocol/sdk/client/streamableHttp.js")),
    ...(await import("@modelcontextprotocol/sdk/client/auth.js")),
  };
}

/** Where the user's browser comes back to, and what it brought. */
async function listen() {
  let came;
  const parameters = new Promise((resolve) => (came = resolve));
  const server = createServer((request, answer) => {
    answer.end("You may close this window.");
    server.close();
    came(new URL(request.url, "http://127.0.0.1").searchParams);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}/callback`, parameters };
}

/** Keeps in memory what the client is told to keep. */
class Kept {
  constructor(address) {
    this.redirectUrl = address;
    this.clientMetadata = { client_name: "A TypeScript assistant", redirect_uris: [address] };
  }
  state() {
    this.kept_state ??= crypto.randomUUID();
    return this.kept_state;
  }
  clientInformation() {
    return this.kept_client;
  }
  saveClientInformation(client) {
    this.kept_client = client;
  }
  tokens() {
    return this.kept_tokens;
  }
  saveTokens(tokens) {
    this.kept_tokens = tokens;
  }
  redirectToAuthorization(address) {
    say({ open: address.href });
  }
  saveCodeVerifier(verifier) {
    this.kept_verifier = verifier;
  }
  codeVerifier() {
    return this.kept_verifier;
  }
}

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load();
const back = key ? undefined : await listen();
const provider = back && new Kept(back.address);

function transport() {
  const how = provider ? { authProvider: provider } : { requestInit: { headers: { Authorization: `Bearer ${key}` } } };
  return new StreamableHTTPClientTransport(new URL(url), how);
}

function client() {
  const mode = revision === "2026-07-28" ? { pin: revision } : "legacy";
  const options = packageName === "client" ? { versionNegotiation: { mode } } : {};
  return new Client({ name: "interop", version: "1" }, options);
}

let door = client();
let way = transport();
try {
  await door.connect(way);
} catch (refused) {
  if (!provider || !(refused instanceof UnauthorizedError)) {
    throw refused;
  }
  const came = await back.parameters;
  if (came.get("state") !== provider.state()) {
    throw new Error("the answer is to another question");
  }
  await (packageName === "client" ? way.finishAuth(came) : way.finishAuth(came.get("code")));
  door = client();
  way = transport();
  await door.connect(way);
}

// The client learns the output schemas from the list.
const { tools } = await door.listTools();
say({
  revision: door.getNegotiatedProtocolVersion?.() ?? way.protocolVersion,
  server: door.getServerVersion()?.name,
  tools: tools.filter((tool) => tool.outputSchema).map((tool) => tool.name).sort(),
});
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    if (asked.expire) {
      provider.kept_tokens = { ...provider.kept_tokens, access_token: "worthless" };
      say({ expired: true });
    } else {
      say(await door.callTool(asked));
    }
  } catch (thrown) {
    say({ thrown: String(thrown) });
  }
}
await door.close();

// Helpers of the probes for Node.
import { readFileSync } from "node:fs";

export const { BASE_URL: baseURL, MODEL: model } = process.env;
export const apiKey = "none";
export const image = readFileSync(process.env.IMAGE);
export const audio = readFileSync(process.env.AUDIO);
export const imageURI = `data:image/png;base64,${image.toString("base64")}`;
export const TALK = "Hello!", DRAW = "Draw a cat.", LOOK = "What is in this picture?", LISTEN = "What do you hear?";

/** Run the checks; print a JSON line for each. A check fails by an exception. */
export async function run(checks) {
  for (const [check, call] of Object.entries(checks)) {
    try {
      await call();
      console.log(JSON.stringify({ check, ok: true, detail: "" }));
    } catch (error) {
      console.error(error);
      console.log(JSON.stringify({ check, ok: false, detail: String(error).slice(0, 300) }));
    }
  }
}

export function says(text, word = "") {
  if (typeof text !== "string" || !text.trim()) throw new Error(`no text: ${JSON.stringify(text)}`);
  if (!text.toLowerCase().includes(word)) throw new Error(`${text} lacks ${word}`);
}

/** Check that base64, a data URI or bytes hold a PNG. */
export function isPNG(data) {
  const bytes = typeof data === "string" ? Buffer.from(data.split(",").pop(), "base64") : Buffer.from(data);
  if (bytes.subarray(1, 4).toString("latin1") !== "PNG") throw new Error("no PNG");
}

/** Check that the call fails with the server's message and status. */
export async function fails(call, status = 404, words = "no-such-model") {
  try {
    await call();
  } catch (error) {
    const got = error.status ?? error.statusCode;
    if (got !== status || !String(error.message).includes(words)) throw new Error(`unexpected: ${got} ${error.message}`);
    return;
  }
  throw new Error("no error");
}

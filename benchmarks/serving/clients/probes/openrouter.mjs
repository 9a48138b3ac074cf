// OpenRouter's provider for the AI SDK.
import { createOpenRouter } from "@openrouter/ai-sdk-provider";
import { generateText, streamText } from "ai";
import { apiKey, audio, baseURL, DRAW, fails, image, isPNG, LISTEN, LOOK, model, run, says, TALK } from "./checks.mjs";

const provider = createOpenRouter({ baseURL, apiKey });
const ask = (content, of = provider.chat(model)) =>
  generateText({ model: of, messages: [{ role: "user", content }], maxRetries: 0 });

await run({
  chat: async () => says((await ask(TALK)).text),
  stream: async () => {
    let text = "";
    for await (const delta of streamText({ model: provider.chat(model), prompt: DRAW }).textStream) text += delta;
    says(text);
  },
  image_in: async () =>
    says((await ask([{ type: "text", text: LOOK }, { type: "image", image, mediaType: "image/png" }])).text, "apple"),
  audio_in: async () =>
    says((await ask([{ type: "text", text: LISTEN }, { type: "file", data: audio, mediaType: "audio/wav" }])).text, "piano"),
  media_out: async () => isPNG((await ask(DRAW)).files[0].uint8Array),
  errors: () => fails(() => ask(TALK, provider.chat("no-such-model"))),
});

// The AI SDK with its default provider, @ai-sdk/openai: the Responses API.
import { createOpenAI } from "@ai-sdk/openai";
import { generateImage, generateText, streamText } from "ai";
import { apiKey, baseURL, DRAW, fails, image, isPNG, LOOK, model, run, says, TALK } from "./checks.mjs";

const openai = createOpenAI({ baseURL, apiKey });
const ask = (content, of = openai(model)) =>
  generateText({ model: of, messages: [{ role: "user", content }], maxRetries: 0 });

await run({
  chat: async () => says((await ask(TALK)).text),
  stream: async () => {
    let text = "";
    for await (const delta of streamText({ model: openai(model), prompt: DRAW }).textStream) text += delta;
    says(text);
  },
  image_in: async () =>
    says((await ask([{ type: "text", text: LOOK }, { type: "image", image, mediaType: "image/png" }])).text, "apple"),
  media_out: async () => {
    const result = await ask(DRAW);
    const item = result.response.body.output.find((each) => each.type === "image_generation_call");
    isPNG(item.result);
  },
  errors: () => fails(() => ask(TALK, openai("no-such-model"))),
  chat_completions: async () => says((await ask(TALK, openai.chat(model))).text),
  images: async () =>
    isPNG((await generateImage({ model: openai.image(model), prompt: "a cat", maxRetries: 0 })).image.uint8Array),
});

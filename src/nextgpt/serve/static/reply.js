// An answer while it arrives: a fold of the chunks of a stream. Pure: media stay data URIs until they are complete.

import { t } from './strings.js';

const KINDS = ['image', 'audio', 'video'];

export class PartialReply {
  constructor() {
    this.parts = [];
    this.progress = new Map();
    this.finishReason = null;
    this.info = {};
    this.usage = null;
  }

  /** Take one chunk. Returns the media in it, as {kind, url, file, origin}; add them with `addMedium` in this order. */
  apply(chunk, nowMs) {
    if (chunk.usage) this.usage = chunk.usage;
    const choice = chunk.choices?.[0];
    const delta = choice?.delta ?? {};
    if (delta.content) this.addText(delta.content);
    if (chunk.nextgpt?.event === 'progress') this.addProgress(chunk.nextgpt, nowMs);
    else if (chunk.nextgpt) this.info = chunk.nextgpt;
    if (choice?.finish_reason) this.finishReason = choice.finish_reason;
    return KINDS.flatMap((kind) =>
      (delta[`${kind}s`] ?? []).map((part) => ({
        kind,
        url: part[`${kind}_url`].url,
        file: part.id,
        origin: part.attribution ?? null,
      })),
    );
  }

  addText(text) {
    const last = this.parts.at(-1);
    if (last?.kind === 'text') this.parts[this.parts.length - 1] = { kind: 'text', text: last.text + text };
    else this.parts.push({ kind: 'text', text: last ? text.replace(/^\n/, '') : text }); // the break after a medium
  }

  addMedium(part) {
    this.parts.push(part);
    this.progress.delete(part.kind);
  }

  addProgress(event, nowMs) {
    const before = this.progress.get(event.modality);
    const isNew = !before || event.step <= before.step;
    const { startMs, startStep } = isNew ? { startMs: nowMs, startStep: event.step } : before;
    const perStepMs = event.step > startStep ? (nowMs - startMs) / (event.step - startStep) : null;
    this.progress.set(event.modality, {
      kind: event.modality,
      step: event.step,
      total: event.total,
      startMs,
      startStep,
      remainingS: perStepMs === null ? null : (perStepMs * (event.total - event.step)) / 1000,
      preview: event.preview ?? (isNew ? null : before.preview),
      waveform: event.waveform ?? (isNew ? null : before.waveform),
    });
  }

  /** What is kept with the message: for the note below it and the details drawer. */
  details(settings, omitted) {
    return {
      seed: this.info.seed ?? settings.seed,
      settings: { ...settings },
      finish: this.finishReason ?? 'stopped',
      dropped: this.info.dropped ?? [],
      timings_s: this.info.timings_s ?? {},
      llmOutput: this.info.llm_output ?? null,
      usage: this.usage,
      omitted,
    };
  }
}

/** Say what the reader should know about an answer that ended, or null. */
export function noteOf(details, limits) {
  if (!details) return null;
  const notes = [];
  if (details.finish === 'stopped') notes.push(t('stopped'));
  if (details.dropped.length) notes.push(t('dropped', { content: details.dropped.join(', ') }));
  else if (details.finish === 'length') notes.push(t('cut', { count: details.settings.maxTokens }));
  if (details.omitted) notes.push(t('omitted', { count: details.omitted, limit: limits.max_media }));
  return notes.join(' ') || null;
}

"""Sounds: read as they are, written in the format of the suffix, resampled and mixed."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from nextgpt.errors import MediaError
from nextgpt.media import read_audio, resample, to_mono, write_audio, write_video
from nextgpt.message import Audio


def test_without_a_suffix_a_wav_of_16_bits_is_written(sound, tmp_path):
    path = write_audio(sound, tmp_path / "a")
    assert path.name == "a.wav"
    assert soundfile.info(path).subtype == "PCM_16"


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 1e-4), (".flac", 1e-4), (".ogg", 0.05), (".mp3", 0.05)])
def test_a_written_sound_comes_back(sound, tmp_path, suffix, tolerance):
    read = read_audio(write_audio(sound, tmp_path / f"a{suffix}"))
    assert read.sample_rate_hz == 16_000
    assert read.samples.dtype == np.float32
    assert read.samples.shape == sound.samples.shape
    assert np.abs(read.samples - sound.samples)[:, 2000:-2000].max() < tolerance


def test_the_sound_of_a_film_is_read(film, tmp_path):
    read = read_audio(write_video(film, tmp_path / "a.mp4"))
    assert read.samples.shape[0] == 2
    assert read.duration_s == pytest.approx(1.0, abs=0.1)


def test_a_silent_film_holds_no_sound(film, tmp_path):
    silent = type(film)(film.frames, film.fps)
    with pytest.raises(MediaError, match="holds no audio"):
        read_audio(write_video(silent, tmp_path / "a.mp4"))


def test_samples_that_are_no_numbers_or_too_loud_are_tamed():
    buffer = io.BytesIO()
    soundfile.write(buffer, np.array([np.nan, np.inf, -np.inf, 7.0, 0.5]), 8000, format="WAV", subtype="FLOAT")
    assert read_audio(buffer.getvalue()).samples.tolist() == [[0.0, 1.0, -1.0, 1.0, 0.5]]


def test_resampling_keeps_pitch_and_length(sound):
    doubled = resample(sound, 32_000)
    spectrum = np.abs(np.fft.rfft(doubled.samples[0]))
    assert doubled.sample_rate_hz == 32_000
    assert doubled.samples.shape == (2, 32_000)
    assert spectrum.argmax() == 440  # one bin a hertz


def test_the_right_rate_is_not_resampled(sound):
    assert resample(sound, 16_000) is sound


def test_channels_are_averaged():
    stereo = Audio(np.array([[0.5, 0.0], [0.0, 1.0]], np.float32), 8000)
    assert to_mono(stereo).samples.tolist() == [[0.25, 0.5]]


def test_an_unknown_suffix_is_refused(sound, tmp_path):
    with pytest.raises(MediaError, match=r"expected one of \.wav, "):
        write_audio(sound, tmp_path / "a.xyz")


def test_a_folder_that_is_missing_is_named(sound, tmp_path):
    with pytest.raises(MediaError, match="cannot be written"):
        write_audio(sound, tmp_path / "nowhere" / "a.wav")

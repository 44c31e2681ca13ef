"""Questions in SQL that people ask of results, to begin from."""

from __future__ import annotations

EXAMPLES = {
    "Medians of each run's settings": """\
SELECT run_id, experiment, environment ->> 'engine' AS engine, setting, count(*) AS samples,
    median(vision_encoder_ms + projector_ms + llm_prefill_ms) AS ttft_ms,
    median(llm_decode_ms / nullif(num_output_tokens - 1, 0)) AS tpot_ms
FROM samples JOIN runs ON runs.id = run_id
GROUP BY ALL ORDER BY experiment, run_id, setting""",
    "What each run was measured on": """\
SELECT id, experiment, state, created_at, environment ->> 'device_name' AS device, environment ->> 'driver' AS driver,
    environment ->> 'torch' AS torch, environment ->> 'engine' AS engine, environment ->> 'dtype' AS dtype
FROM runs ORDER BY created_at DESC""",
    "The slowest samples beside their setting's median": """\
SELECT run_id, setting, sample_id, total_ms, median(total_ms) OVER each AS median_ms,
    total_ms / median(total_ms) OVER each AS ratio, sm_clock_mhz, temperature_c
FROM samples WINDOW each AS (PARTITION BY run_id, setting)
ORDER BY ratio DESC LIMIT 50""",
    "Decode step by position": """\
SELECT run_id, setting, position, median(step_ms) AS median_ms, count(*) AS samples
FROM (
    SELECT run_id, setting, unnest(decode_steps_ms) AS step_ms, generate_subscripts(decode_steps_ms, 1) + 1 AS position
    FROM samples
)
GROUP BY ALL ORDER BY run_id, setting, position""",
    "Does the clock move with the temperature": """\
SELECT run_id, count(*) AS samples, corr(sm_clock_mhz, temperature_c) AS correlation,
    min(sm_clock_mhz) AS lowest_mhz, max(temperature_c) AS highest_c
FROM samples WHERE sm_clock_mhz IS NOT NULL GROUP BY run_id ORDER BY correlation""",
    "Settings that failed, and why": """\
SELECT run_id, experiment, setting, top_k, active_blocks, output_tokens, failed
FROM settings JOIN runs ON runs.id = run_id WHERE failed IS NOT NULL ORDER BY run_id, setting""",
}
"""By what each asks; every one names its runs, since samples of several are not one distribution."""

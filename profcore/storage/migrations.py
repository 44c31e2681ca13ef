"""The schema of the database, one script a version; a database is brought from its version to the last."""

MIGRATIONS = (
    """
    CREATE TABLE runs (
        id VARCHAR PRIMARY KEY,
        experiment VARCHAR NOT NULL,
        source VARCHAR NOT NULL,
        name VARCHAR,
        state VARCHAR NOT NULL,
        reason VARCHAR,
        phase VARCHAR,
        created_at TIMESTAMP NOT NULL,
        started_at TIMESTAMP,
        ended_at TIMESTAMP,
        planned_samples INTEGER,
        spec VARCHAR,
        environment VARCHAR
    );
    CREATE TABLE settings (
        run_id VARCHAR NOT NULL,
        setting INTEGER NOT NULL,
        grid_rows INTEGER,
        grid_columns INTEGER,
        top_k INTEGER,
        active_blocks INTEGER,
        block_mask VARCHAR,
        output_tokens INTEGER,
        failed VARCHAR
    );
    CREATE TABLE samples (
        run_id VARCHAR NOT NULL,
        sample_id INTEGER NOT NULL,
        setting INTEGER NOT NULL,
        round INTEGER,
        elapsed_s DOUBLE,
        vision_encoder_ms DOUBLE,
        projector_ms DOUBLE,
        llm_prefill_ms DOUBLE,
        llm_decode_ms DOUBLE,
        other_ms DOUBLE,
        total_ms DOUBLE,
        decode_steps_ms DOUBLE[],
        num_crops INTEGER,
        num_vision_tokens INTEGER,
        num_input_tokens INTEGER,
        num_output_tokens INTEGER,
        peak_memory_bytes BIGINT,
        sm_clock_mhz DOUBLE,
        temperature_c DOUBLE,
        power_w DOUBLE,
        throttle_reasons BIGINT
    );
    CREATE TABLE summaries (
        run_id VARCHAR NOT NULL,
        setting INTEGER NOT NULL,
        metric VARCHAR NOT NULL,
        p50 DOUBLE, p95 DOUBLE, p99 DOUBLE, mean DOUBLE, std DOUBLE, min DOUBLE, max DOUBLE
    );
    CREATE TABLE spools (run_id VARCHAR PRIMARY KEY, byte_offset BIGINT NOT NULL);
    """,
    """
    ALTER TABLE runs ADD COLUMN ceilings VARCHAR;
    ALTER TABLE settings ADD COLUMN prefill_experts INTEGER[];
    ALTER TABLE samples ADD COLUMN issue_ms DOUBLE[];
    """,
    """
    ALTER TABLE runs ADD COLUMN details VARCHAR;
    ALTER TABLE settings ADD COLUMN image_id VARCHAR;
    ALTER TABLE settings ADD COLUMN query_id VARCHAR;
    ALTER TABLE settings ADD COLUMN image_width INTEGER;
    ALTER TABLE settings ADD COLUMN image_height INTEGER;
    ALTER TABLE samples ADD COLUMN processing_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN vision_total_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN system_total_ms DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_vision_encoder DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_projector DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_llm_prefill DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_llm_decode DOUBLE;
    ALTER TABLE samples ADD COLUMN flops_total DOUBLE;
    CREATE TABLE removed (run_id VARCHAR PRIMARY KEY);
    """,
    """
    ALTER TABLE settings ADD COLUMN kl DOUBLE;
    ALTER TABLE settings ADD COLUMN accuracy DOUBLE;
    ALTER TABLE settings ADD COLUMN quality_queries INTEGER;
    """,
    """
    ALTER TABLE spools ADD COLUMN bad_lines INTEGER DEFAULT 0;
    ALTER TABLE samples ADD COLUMN step_issue_ms DOUBLE;
    ALTER TABLE settings ADD COLUMN quality_failed VARCHAR;
    """,
    """
    ALTER TABLE runs ADD COLUMN note VARCHAR DEFAULT '';
    ALTER TABLE runs ADD COLUMN tags VARCHAR DEFAULT '';
    ALTER TABLE runs ADD COLUMN starred BOOLEAN DEFAULT FALSE;
    ALTER TABLE runs ADD COLUMN archived BOOLEAN DEFAULT FALSE;
    """,
    """
    ALTER TABLE samples RENAME COLUMN processing_ms TO host_preprocessing_ms;
    """,
    """
    ALTER TABLE samples ADD COLUMN memory_clock_mhz DOUBLE;
    ALTER TABLE samples ADD COLUMN memory_used_bytes BIGINT;
    ALTER TABLE samples ADD COLUMN other_processes INTEGER;
    ALTER TABLE samples ADD COLUMN others_utilisation_percent DOUBLE;
    ALTER TABLE samples ADD COLUMN vision_encoder_peak_bytes BIGINT;
    ALTER TABLE samples ADD COLUMN projector_peak_bytes BIGINT;
    ALTER TABLE samples ADD COLUMN llm_prefill_peak_bytes BIGINT;
    ALTER TABLE samples ADD COLUMN llm_decode_peak_bytes BIGINT;
    ALTER TABLE settings ADD COLUMN energy_method VARCHAR;
    ALTER TABLE settings ADD COLUMN energy_step_s DOUBLE;
    ALTER TABLE settings ADD COLUMN vision_encoder_j DOUBLE;
    ALTER TABLE settings ADD COLUMN projector_j DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_prefill_j DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_decode_j DOUBLE;
    ALTER TABLE settings ADD COLUMN total_j DOUBLE;
    ALTER TABLE settings ADD COLUMN vision_encoder_resolution_j DOUBLE;
    ALTER TABLE settings ADD COLUMN projector_resolution_j DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_prefill_resolution_j DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_decode_resolution_j DOUBLE;
    ALTER TABLE settings ADD COLUMN total_resolution_j DOUBLE;
    ALTER TABLE settings ADD COLUMN energy_failed VARCHAR;
    """,
    """
    ALTER TABLE settings ADD COLUMN stopped_by VARCHAR;
    """,
    """
    ALTER TABLE settings ADD COLUMN tier VARCHAR;
    ALTER TABLE settings ADD COLUMN least_crops INTEGER;
    ALTER TABLE settings ADD COLUMN most_crops INTEGER;
    ALTER TABLE settings ADD COLUMN quality_scores DOUBLE[];
    ALTER TABLE samples ADD COLUMN first_token_ms DOUBLE;
    """,
    """
    ALTER TABLE settings ADD COLUMN answer VARCHAR;
    """,
    """
    ALTER TABLE settings ADD COLUMN vision_encoder_flops DOUBLE;
    ALTER TABLE settings ADD COLUMN vision_encoder_bytes DOUBLE;
    ALTER TABLE settings ADD COLUMN projector_flops DOUBLE;
    ALTER TABLE settings ADD COLUMN projector_bytes DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_prefill_flops DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_prefill_bytes DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_decode_flops DOUBLE;
    ALTER TABLE settings ADD COLUMN llm_decode_bytes DOUBLE;
    """,
    """
    ALTER TABLE samples ADD COLUMN environment_number INTEGER;
    CREATE TABLE environments (
        run_id VARCHAR NOT NULL,
        environment_number INTEGER NOT NULL,
        spool VARCHAR NOT NULL,
        shard INTEGER,
        from_sample INTEGER NOT NULL,
        host VARCHAR,
        card VARCHAR,
        device VARCHAR,
        facts VARCHAR NOT NULL,
        refused VARCHAR,
        set_aside VARCHAR
    );
    CREATE TABLE shards (
        spool VARCHAR PRIMARY KEY,
        run_id VARCHAR NOT NULL,
        shard INTEGER NOT NULL,
        count INTEGER NOT NULL,
        own INTEGER[] NOT NULL,
        anchors INTEGER[] NOT NULL,
        state VARCHAR NOT NULL,
        reason VARCHAR,
        phase VARCHAR,
        started_at TIMESTAMP,
        ended_at TIMESTAMP
    );
    INSERT INTO environments
        WITH places AS (
            SELECT id, environment AS facts, 0 AS number, 0 AS from_sample, environment AS place FROM runs
            WHERE TRY(json_array_length(environment, '$.also')) > 0
            UNION ALL
            SELECT id, environment, place + 1,
                TRY(CAST(environment ->> ('$.also[' || place || '].from_sample') AS INTEGER)),
                environment -> ('$.also[' || place || ']')
            FROM (
                SELECT id, environment, unnest(range(TRY(json_array_length(environment, '$.also'))::BIGINT)) AS place
                FROM runs WHERE TRY(json_array_length(environment, '$.also')) > 0
            )
        )
        SELECT id, number, id, NULL, from_sample, TRY(place ->> 'host'), TRY(place ->> 'card'), TRY(place ->> 'device'),
            facts, NULL, NULL
        FROM places WHERE from_sample IS NOT NULL;
    UPDATE samples SET environment_number = places.environment_number
        FROM (
            SELECT run_id, environment_number, from_sample,
                lead(from_sample) OVER (PARTITION BY run_id ORDER BY environment_number) AS until_sample
            FROM environments
        ) AS places
        WHERE samples.run_id = places.run_id AND sample_id >= from_sample
            AND (until_sample IS NULL OR sample_id < until_sample) AND places.environment_number > 0;
    CREATE VIEW pooled AS SELECT samples.* FROM samples
        ANTI JOIN (
            SELECT run_id, environment_number FROM environments WHERE coalesce(refused, set_aside) IS NOT NULL
        ) AS aside USING (run_id, environment_number);
    """,
    """
    CREATE TABLE baselines (name VARCHAR PRIMARY KEY, run_id VARCHAR NOT NULL, set_at TIMESTAMP NOT NULL);
    """,
    """
    DROP VIEW pooled;
    ALTER TABLE samples ADD COLUMN host_probe_us DOUBLE;
    CREATE VIEW pooled AS SELECT samples.* FROM samples
        ANTI JOIN (
            SELECT run_id, environment_number FROM environments WHERE coalesce(refused, set_aside) IS NOT NULL
        ) AS aside USING (run_id, environment_number);
    """,
    """
    DROP VIEW pooled;
    ALTER TABLE environments ADD COLUMN started_at TIMESTAMP;
    CREATE VIEW pooled AS SELECT samples.* FROM samples
        ANTI JOIN (
            SELECT run_id, environment_number FROM environments WHERE coalesce(refused, set_aside) IS NOT NULL
        ) AS aside USING (run_id, environment_number);
    """,
    """
    DROP VIEW pooled;
    ALTER TABLE samples ADD COLUMN picture_reading_ms DOUBLE;
    CREATE VIEW pooled AS SELECT samples.* FROM samples
        ANTI JOIN (
            SELECT run_id, environment_number FROM environments WHERE coalesce(refused, set_aside) IS NOT NULL
        ) AS aside USING (run_id, environment_number);
    """,
)

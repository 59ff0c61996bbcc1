-- Adds jobs of a kind that is done together, as graphile_worker.add_jobs does, but for three things: nobody is told
-- but who takes these; of what is asked for while a job waits the earliest and most urgent counts; and a
-- statement does all of it. Answers the keys that were added: one is missing where a worker takes its job meanwhile.
create function due_together(kind text, items jsonb, due_at timestamptz, urgency smallint, flag text)
returns setof text language plpgsql as $$
begin
  insert into graphile_worker._private_tasks (identifier)
    select kind where not exists (select from graphile_worker._private_tasks where identifier = kind)
    on conflict do nothing;
  insert into graphile_worker._private_job_queues (queue_name)
    select distinct item.queue from jsonb_to_recordset(items) as item (queue text)
    where not exists (select from graphile_worker._private_job_queues where queue_name = item.queue)
    on conflict do nothing;
  -- What runs may have read the state of before: another job is for what is due now.
  update graphile_worker._private_jobs as jobs
    set key = null, attempts = jobs.max_attempts, updated_at = now()
    from jsonb_to_recordset(items) as item (name text)
    where jobs.key = item.name and jobs.is_available is not true;
  perform pg_notify('gatesmith_due', '');
  return query
    insert into graphile_worker._private_jobs as jobs
      (job_queue_id, task_id, payload, run_at, max_attempts, key, priority, flags)
    select queues.id, tasks.id, item.key, coalesce(due_at, now()), 25, item.name, urgency,
      case when flag is null then null else jsonb_build_object(flag, true) end
    from jsonb_to_recordset(items) as item (name text, queue text, key json)
    join graphile_worker._private_tasks as tasks on tasks.identifier = kind
    join graphile_worker._private_job_queues as queues on queues.queue_name = item.queue
    order by item.name
    on conflict (key) do update set
      job_queue_id = excluded.job_queue_id,
      task_id = excluded.task_id,
      payload = excluded.payload,
      max_attempts = excluded.max_attempts,
      run_at = case when jobs.attempts = 0 then least(jobs.run_at, excluded.run_at) else excluded.run_at end,
      priority = case when jobs.attempts = 0 then least(jobs.priority, excluded.priority) else excluded.priority end,
      revision = jobs.revision + 1,
      flags = excluded.flags,
      attempts = 0,
      last_error = null,
      updated_at = now()
    where jobs.locked_at is null
    returning jobs.key;
end;
$$;

SET timezone = 'America/New_York';
SELECT jsonb_array_elements(feathub.get_feature_vectors('delay', '[
  {"carrier": "B6", "flight": 725, "tailnum": "N804JB", "origin": "JFK", "dest": "FLL", "distance": 1069, "sched_dep": "2013-12-30 19:00-05"},
  {"carrier": "UA", "flight": 1545, "tailnum": "N14228", "origin": "EWR", "dest": "IAH", "distance": 1400, "sched_dep": "2013-12-30 06:00-05"}]'));

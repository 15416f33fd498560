"""Axolotl's keys by what they mean to a job here.

Source: Axolotl 0.19.0's schema. What isn't in any of these tables is a key that nobody knows.
"""

from typing import Any

# Keys with a hyperparameter that means the same.
CARRIED: dict[str, str] = {
    "num_epochs": "epochs",
    "max_steps": "max_steps",
    "learning_rate": "learning_rate",
    "warmup_ratio": "warmup_fraction",
    "weight_decay": "weight_decay",
    "lora_r": "lora_r",
    "lora_alpha": "lora_alpha",
    "lora_dropout": "lora_dropout",
    "sequence_len": "max_length",
    "micro_batch_size": "micro_batch_size",
    "save_steps": "checkpoint_steps",
    "seed": "seed",
}
# What Axolotl takes where the file leaves a key out, and we would take something else.
LEFT_OUT: dict[str, Any] = {
    "num_epochs": 1,
    "micro_batch_size": 1,
    "sequence_len": 512,
    "warmup_ratio": 0.03,
    "seed": 42,
}
_ADAMW = """
    adamw_torch adamw_torch_fused adamw_torch_8bit adamw_bnb_8bit adamw_8bit paged_adamw
    paged_adamw_32bit paged_adamw_8bit adamw_hf adamw_apex_fused
    """
ADAMW = frozenset(_ADAMW.split())
_EVERY_LINEAR = """
    q_proj k_proj v_proj o_proj gate_proj up_proj down_proj
    """
EVERY_LINEAR = frozenset(_EVERY_LINEAR.split())
# Keys whose value has to be what the recipe here does anyway, and that value.
AS_OURS: dict[str, tuple[Any, ...]] = {
    "lr_scheduler": ("cosine",),
    "cosine_min_lr_ratio": (0.05,),
    "optimizer": tuple(sorted(ADAMW)),
    "adam_beta1": (0.9,),
    "adam_beta2": (0.99,),
    "adam_epsilon": (1e-8,),
    "max_grad_norm": (1, 1.0),
    "chat_template": ("tokenizer_default",),
    "excess_length_strategy": ("drop",),
    "load_best_model_at_end": (True,),
    "shuffle_merged_datasets": (True,),
    "peft_init_lora_weights": (True,),
    "pretrain_multipack_attn": (True,),
}
# How it is run, watched or kept, not what is learnt: left to this machine and to ftctl.
_HOW_IT_RUNS = """
    output_dir dataset_prepared_path strict resume_from_checkpoint auto_resume_from_checkpoints
    model_type type_of_model tokenizer_type tokenizer_use_fast is_llama_derived_model
    is_mistral_derived_model is_falcon_derived_model is_qwen_derived_model processor_type bf16 fp16
    tf32 bfloat16 float16 float32 fp8 low_cpu_mem_usage max_memory gpu_memory_limit device
    device_map world_size local_rank flash_attention sdp_attention xformers_attention flex_attention
    eager_attention sage_attention attn_implementation sdpa_varlen eval_sample_packing
    pad_to_sequence_len pad_to_multiple_of sample_packing_group_size sample_packing_bin_size
    sample_packing_mp_start_method sample_packing_eff_est gradient_checkpointing_kwargs
    selective_checkpointing activation_offloading layer_offloading lora_on_cpu lora_mlp_kernel
    lora_qkv_kernel lora_o_kernel lora_embedding_kernel peft_autocast_adapter_dtype
    chunked_cross_entropy chunked_cross_entropy_num_chunks tiled_mlp torch_compile
    torch_compile_backend torch_compile_mode flash_attn_cross_entropy flash_attn_fuse_mlp deepspeed
    deepcompile fsdp fsdp_config fsdp_version ddp ddp_timeout ddp_bucket_cap_mb
    ddp_broadcast_buffers ddp_find_unused_parameters logging_steps eval_steps evals_per_epoch
    eval_strategy saves_per_epoch save_strategy save_first_step save_only_model save_safetensors
    eval_batch_size eval_table_size eval_max_new_tokens do_causal_lm_eval do_bench_eval
    generate_samples profiler_steps debug include_tokens_per_second include_tkps gc_steps
    torch_empty_cache_steps dataset_processes dataset_num_proc dataset_keep_in_memory
    dataloader_num_workers dataloader_pin_memory dataloader_prefetch_factor remove_unused_columns
    precompute_ref_log_probs merge_lora merge_method hf_use_auth_token push_dataset_to_hub
    loss_watchdog_threshold loss_watchdog_patience mean_resizing_embeddings axolotl_config_path
    experimental_skip_move_to_device tokenizer_save_jinja_files use_kernels
    """
HOW_IT_RUNS = frozenset(_HOW_IT_RUNS.split())
HOW_IT_RUNS_BEGINS = (
    "wandb_",
    "mlflow_",
    "comet_",
    "trackio_",
    "hub_",
    "hf_mlflow_",
    "otel_",
    "gradio_",
    "ray_",
    "use_comet",
    "use_otel",
    "use_ray",
    "resources_per_worker",
)
# What is learnt would be another thing, and there is nothing here that does it.
_LOST = """
    trust_remote_code plugins overrides_of_model_config overrides_of_model_kwargs revision_of_model
    rope_scaling base_model_config cls_model_config tokenizer_config tokenizer_legacy
    tokenizer_use_mistral_common added_tokens_overrides tokens eot_tokens
    resize_token_embeddings_to_32x shrink_embeddings reinit_weights trainer_cls trl vllm ebft qat
    quantization reward_model process_reward_model num_labels center_rewards_coefficient
    dpo_use_weighting dpo_label_smoothing dpo_loss_type dpo_loss_weights dpo_padding_free
    dpo_use_liger_kernel rpo_alpha orpo_alpha simpo_gamma cpo_alpha kto_desirable_weight
    kto_undesirable_weight pretraining_dataset streaming skip_prepare_dataset
    shuffle_before_merging_datasets dataset_exact_deduplication dataset_shard_num dataset_shard_idx
    train_on_inputs group_by_length auto_find_batch_size embedding_lr embedding_lr_scale lr_groups
    optim_args optim_target_modules lr_scheduler_kwargs lr_quadratic_warmup cosine_constant_lr_ratio
    lr_div_factor adam_epsilon2 adam_beta3 neftune_noise_alpha noisy_embedding_alpha
    unfrozen_parameters freeze_mm_modules lora_model_dir lora_fan_in_fan_out lora_target_parameters
    lora_modules_to_save lora_rank_pattern lora_alpha_pattern peft_layers_pattern peft peft_use_dora
    peft_layer_replication peft_trainable_token_indices peft_ensure_weight_tying gptq
    bnb_config_kwargs loraplus_lr_ratio loraplus_lr_embedding relora relora_prune_ratio
    relora_prune_method relora_cpu_offload jagged_restart_steps jagged_restart_warmup_steps
    jagged_restart_anneal_steps lisa_n_layers lisa_step_interval lisa_layers_attribute use_pose
    pose_split_on_token_ids pose_max_context_len pose_num_chunks curriculum_sampling
    sample_packing_sequentially multipack_real_batches batch_flattening min_sample_len
    max_prompt_len eval_sequence_len dataloader_drop_last scaling_softmax scaling_softmax_factor
    scaling_softmax_bias use_eaft eaft_alpha eaft_k chat_template_jinja chat_template_kwargs
    default_system_message fix_untrained_tokens metric_for_best_model greater_is_better
    sequence_parallel_degree context_parallel_size tensor_parallel_size dp_shard_size
    dp_replicate_size model_quantization_config quantize_moe_experts experts_implementation
    llama4_linearized_experts image_size s2_attention
    """
LOST = frozenset(_LOST.split())

# Of a dataset: keys that say nothing new here, and the values that they may have.
ROWS_AS_OURS: dict[str, tuple[Any, ...]] = {
    "ds_type": ("json", "csv", "parquet"),
    "split": ("train",),
    "chat_template": ("tokenizer_default",),
    "field_messages": ("messages", "conversations"),
    "field_tools": ("tools",),
    "field_thinking": ("reasoning_content",),
    "field_chosen": ("chosen",),
    "field_rejected": ("rejected",),
    "message_field_role": ("role", "from"),
    "message_field_content": ("content", "value"),
    "message_field_training": ("train",),
    "message_field_training_detail": ("train_detail",),
    "roles_to_train": (["assistant"], ["gpt", "assistant"], ["assistant", "gpt"]),
    "train_on_eos": ("turn",),
    "train_on_eot": ("turn",),
}
ROW_TYPES = ("chat_template", "sharegpt", "alpaca", "input_output", "completion")
PAIR_TYPES = ("chat_template.default", "chat_template.argilla_chat")

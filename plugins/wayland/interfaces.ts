/**
 * The interfaces of globals that every client may see and bind: what it takes to show windows of one's own and to be typed into
 * while they have the focus. All others are hidden, whether we know them or not; docs/wayland.md says why for each.
 */

/** By group, as the page has them; a test compares the two. */
export const VISIBLE_TO_ALL = {
  core: [
    'wl_compositor',
    'wl_subcompositor',
    'wl_shm',
    'wl_seat',
    'wl_output',
    'wl_data_device_manager',
    'wl_fixes',
    'wl_drm',
    'wl_shell',
  ],
  windows: [
    'xdg_wm_base',
    'zxdg_shell_v6',
    'xdg_activation_v1',
    'xdg_wm_dialog_v1',
    'xdg_toplevel_icon_manager_v1',
    'xdg_toplevel_tag_manager_v1',
    'xdg_toplevel_drag_manager_v1',
    'xdg_system_bell_v1',
    'zxdg_decoration_manager_v1',
    'org_kde_kwin_server_decoration_manager',
    'zxdg_output_manager_v1',
    'zxdg_exporter_v1',
    'zxdg_exporter_v2',
    'zxdg_importer_v1',
    'zxdg_importer_v2',
    'ivi_application',
    'gtk_shell1',
  ],
  'buffers and timing': [
    'zwp_linux_dmabuf_v1',
    'zwp_linux_explicit_synchronization_v1',
    'wp_linux_drm_syncobj_manager_v1',
    'wp_viewporter',
    'wp_presentation',
    'wp_single_pixel_buffer_manager_v1',
    'wp_fractional_scale_manager_v1',
    'wp_tearing_control_manager_v1',
    'wp_content_type_manager_v1',
    'wp_alpha_modifier_v1',
    'wp_color_manager_v1',
    'wp_color_representation_manager_v1',
    'wp_commit_timing_manager_v1',
    'wp_fifo_manager_v1',
    'ext_background_effect_manager_v1',
  ],
  input: [
    'zwp_relative_pointer_manager_v1',
    'zwp_pointer_constraints_v1',
    'zwp_pointer_gestures_v1',
    'wp_pointer_warp_v1',
    'wp_cursor_shape_manager_v1',
    'zwp_tablet_manager_v1',
    'zwp_tablet_manager_v2',
    'zwp_input_timestamps_manager_v1',
    'zwp_text_input_manager_v1',
    'zwp_text_input_manager_v2',
    'zwp_text_input_manager_v3',
    'zwp_primary_selection_device_manager_v1',
    'gtk_primary_selection_device_manager',
    'zwp_idle_inhibit_manager_v1',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>

/** The one through which a client can give a registry back; its objects are followed. */
export const FIXES = 'wl_fixes'

/** What the clients of a link may see and bind: everything, or the interfaces of this set. */
export type Visible = 'all' | ReadonlySet<string>

/** `grants`: interfaces that the link names. */
export const visibleTo = (role: string, grants: readonly string[]): Visible =>
  role === 'admin' ? 'all' : new Set([...Object.values(VISIBLE_TO_ALL).flat(), ...grants])
